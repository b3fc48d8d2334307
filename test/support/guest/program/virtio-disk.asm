; The disk without the BIOS: int 13h waits for the device by reading a clock in a loop, and goes
; through protected mode, which costs a guest under TCG some milliseconds of processor time a
; request. Here the guest sleeps until the interrupt. Part of guest.asm.
; The device is the first legacy virtio-blk one; no feature is negotiated, least of all FLUSH, so
; QEMU flushes each write before it reports it (writethrough).

RING      equ 0x3000                ; segment of the queue: descriptors, available, used
VIRTIO_BLK equ 0x10011af4           ; device and vendor
; Registers of the device, from its first port on.
FEATURES  equ 4
QUEUE     equ 8                     ; number of the page of the ring
SIZE      equ 12
SELECT    equ 14
NOTIFY    equ 16
STATUS    equ 18
ISR       equ 19

port:         dw 0
queue_size:   dw 0
used_ring:    dw 0                  ; offset of the index in the used ring
issued:       dw 0
request:      dd 0, 0               ; 0 read, 1 write; and a priority
first_sector: dd 0, 0
outcome:      db 0

disk_start:
        mov     eax, 0x80000000
.find:  mov     [request], eax
        mov     bl, 0
        call    pci_read
        cmp     eax, VIRTIO_BLK
        je      .found
        mov     eax, [request]
        add     eax, 0x800          ; the next slot
        jmp     .find
.found: mov     bl, 4
        call    pci_read
        and     ax, ~0x400          ; interrupts are wanted,
        or      al, 5               ; so are ports and access to memory
        out     dx, ax
        mov     bl, 0x3c
        call    pci_read
        call    catch_interrupt
        mov     bl, 0x10
        call    pci_read
        and     al, 0xfc
        mov     [port], ax

        mov     bx, STATUS
        mov     al, 0               ; reset: the BIOS had a queue of its own
        call    put_byte
        mov     al, 3               ; seen, and driven
        call    put_byte
        xor     eax, eax
        mov     dx, [port]
        add     dx, FEATURES
        out     dx, eax
        add     dx, SELECT - FEATURES
        out     dx, ax
        sub     dx, SELECT - SIZE
        in      ax, dx
        mov     [queue_size], ax
        call    ring_start
        mov     eax, RING / 0x100
        mov     dx, [port]
        add     dx, QUEUE
        out     dx, eax
        mov     al, 7               ; ready
        ; falls through

; al -> register bx
put_byte:
        mov     dx, [port]
        add     dx, bx
        out     dx, al
        ret

; bl: register of the device in [request] -> eax; dx is the port of that register
pci_read:
        mov     eax, [request]
        mov     al, bl
        mov     dx, 0xcf8
        out     dx, eax
        mov     dx, 0xcfc
        in      eax, dx
        ret

; The three descriptors of the one request that there is at a time: what, data, outcome.
ring_start:
        push    es
        mov     ax, RING
        mov     es, ax
        xor     di, di
        xor     eax, eax
        mov     cx, 0x4000
        rep     stosd
        mov     dword [es:0], request + DATA * 16
        mov     dword [es:8], 16
        mov     dword [es:12], 0x10001
        mov     word [es:28], 3
        mov     word [es:30], 2
        mov     dword [es:32], outcome + DATA * 16
        mov     dword [es:40], 1
        mov     dword [es:44], 2
        pop     es
        mov     ax, [queue_size]
        imul    ax, 18
        add     ax, 6 + 4095
        and     ax, 0xf000
        add     ax, 2
        mov     [used_ring], ax
        ret

read_slot:
        mov     ax, READ
        mov     bl, 0x42
        call    transfer
        jc      read_slot
        ret

; ax: buffer segment, bl: 42h read, 43h write -> CF set on an error
transfer:
        mov     cx, RING
        mov     fs, cx
        movzx   eax, ax
        shl     eax, 4
        mov     [fs:16], eax        ; where the data is
        mov     eax, [sectors]
        shl     eax, 9
        mov     [fs:24], eax        ; how much it is
        and     ebx, 1
        mov     [request], ebx
        mov     al, 1
        sub     al, bl              ; 1 = next one follows; 2 = the device writes it
        shl     al, 1
        or      al, 1
        mov     [fs:28], al
        mov     eax, [slot]
        imul    eax, [stride]
        add     eax, [region]
        mov     [first_sector], eax
        inc     word [issued]
        mov     ax, [issued]
        mov     bx, [queue_size]
        shl     bx, 4
        mov     [fs:bx + 2], ax     ; available
        mov     dx, [port]
        add     dx, NOTIFY
        xor     ax, ax
        out     dx, ax
        mov     bx, [used_ring]
        mov     ax, [issued]
.wait:  cli
        cmp     ax, [fs:bx]
        je      .done
        sti
        hlt
        jmp     .wait
.done:  sti
        cmp     byte [outcome], 1
        cmc
        ret

disk_interrupt:
        push    ax
        push    dx
        push    ds
        mov     ax, DATA
        mov     ds, ax
        mov     dx, [port]
        add     dx, ISR
        in      al, dx              ; takes it back
        mov     al, 0x20
        out     0xa0, al
        out     0x20, al
        pop     ds
        pop     dx
        pop     ax
        iret
