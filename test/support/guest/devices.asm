; The guest's disk, timer and serial port. Part of guest.asm.

read_slot:
        mov     ax, READ
        mov     bl, 0x42
        call    transfer
        jc      read_slot
        ret

; ax: buffer segment, bl: int 13h function (42h read, 43h write) -> CF set on an error
transfer:
        mov     [packet + 6], ax
        mov     word [packet + 4], 0
        mov     ax, [sectors]
        mov     [packet + 2], ax
        mov     eax, [slot]
        imul    eax, [stride]
        add     eax, [region]
        mov     [packet + 8], eax
        mov     ah, bl
        xor     al, al
        mov     dl, [drive]
        mov     si, packet
        int     0x13
        ret

wait_tick:
        mov     eax, [TICKS]
.wait:  hlt
        cmp     eax, [TICKS]
        je      .wait
        ret

timer_start:
        mov     ebx, [pit_divisor]
        test    ebx, ebx
        jz      .end
        mov     al, 0x34
        out     0x43, al
        mov     al, bl
        out     0x40, al
        mov     al, bh
        out     0x40, al
.end:   ret

serial_start:
        mov     dx, COM1 + 3
        mov     al, 0x80
        out     dx, al
        mov     dx, COM1
        mov     al, 1
        out     dx, al
        inc     dx
        dec     al
        out     dx, al
        mov     dx, COM1 + 3
        mov     al, 3
        out     dx, al
        ret

; al: tag, ebx: number
print_line:
        call    print_tag
print_end:
        mov     al, 10
        jmp     put_char
print_tag:
        call    put_char
        mov     al, ' '
        call    put_char
print_hex:
        mov     cx, 8
.digit: rol     ebx, 4
        mov     al, bl
        and     al, 15
        add     al, '0'
        cmp     al, '9'
        jbe     .put
        add     al, 'a' - '0' - 10
.put:   call    put_char
        loop    .digit
        ret

put_char:
        push    ax
        mov     dx, COM1 + 5
.busy:  in      al, dx
        test    al, 0x20
        jz      .busy
        pop     ax
        mov     dx, COM1
        out     dx, al
        ret
