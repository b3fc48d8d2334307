; The boot sector: loads the rest by the BIOS, and copies all of it to where the data is. Part of
; guest.asm.

boot:
        cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, STACK
        cld
        sti
        jmp     0:.here
.here:  mov     [drive], dl
.load:  mov     word [packet + 2], IMAGE / 512 - 1
        mov     word [packet + 4], params
        mov     dword [packet + 8], 1
        mov     si, packet
        mov     ah, 0x42
        int     0x13
        jc      boot.load
        mov     ax, DATA
        mov     es, ax
        mov     si, boot
        mov     di, boot
        mov     cx, IMAGE / 4
        rep     movsd
        mov     ds, ax
        jmp     main

drive:  db 0
packet: db 16, 0                    ; int 13h disk address packet
        dw 0                        ; sectors
        dw 0, 0                     ; buffer: offset, segment
        dq 0                        ; first sector

        times 510 - ($ - $$) db 0
        dw 0xaa55
