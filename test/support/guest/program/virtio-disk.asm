; The disks without the BIOS: int 13h waits for the device by reading a clock in a loop, and goes
; through protected mode, which costs a guest under TCG some milliseconds of processor time a
; request. Here the guest sleeps until the interrupt. Part of guest.asm.
; The devices are the first legacy virtio-blk ones in the order of their slots, which is libvirt's
; order of the disks; no feature is negotiated, least of all FLUSH, so QEMU flushes each write
; before it reports it (writethrough).

MOST_DISKS equ 4
RING      equ 0x3000                ; segment of vda's queue: descriptors, available, used
NEXT_RING equ 0x1000                ; paragraphs from there to the next disk's
VIRTIO_BLK equ 0x10011af4           ; device and vendor
; Registers of the device, from its first port on.
FEATURES  equ 4
QUEUE     equ 8                     ; number of the page of the ring
SIZE      equ 12
SELECT    equ 14
NOTIFY    equ 16
STATUS    equ 18
ISR       equ 19

struc disk
.port:        resw 1
.ring:        resw 1                ; segment
.queue_size:  resw 1
.used_ring:   resw 1                ; offset of the index in the used ring
.issued:      resw 1
endstruc

table:        times MOST_DISKS * disk_size db 0
current:      dw table              ; the disk that all of this is about
number:       dd 0                  ; of it, 0 for vda
disk_seed:    dd 0
address:      dd 0                  ; PCI address of a device
request:      dd 0, 0               ; 0 read, 1 write; and a priority
first_sector: dd 0, 0
outcome:      db 0

first_disk:
        mov     word [current], table
        mov     dword [number], 0
        mov     eax, [seed]
        mov     [disk_seed], eax
        ret

; -> CF set: there is a next one, and it is the current one now
next_disk:
        add     word [current], disk_size
        inc     dword [disk_seed]
        inc     dword [number]
        mov     eax, [number]
        cmp     eax, [disks]
        ret

disks_start:
        mov     dword [address], 0x80000000
        call    first_disk
.find:  mov     bl, 0
        call    pci_read
        cmp     eax, VIRTIO_BLK
        jne     .next
        call    disk_start
        call    next_disk
        jnc     .end
.next:  add     dword [address], 0x800 ; the next slot
        jmp     .find
.end:   ret

disk_start:
        mov     bl, 4
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
        mov     si, [current]
        mov     [si + disk.port], ax
        mov     ax, [number]
        imul    ax, NEXT_RING
        add     ax, RING
        mov     [si + disk.ring], ax

        mov     bx, STATUS
        mov     al, 0               ; reset: the BIOS had a queue of its own
        call    put_byte
        mov     al, 3               ; seen, and driven
        call    put_byte
        xor     eax, eax
        mov     dx, [si + disk.port]
        add     dx, FEATURES
        out     dx, eax
        add     dx, SELECT - FEATURES
        out     dx, ax
        sub     dx, SELECT - SIZE
        in      ax, dx
        mov     [si + disk.queue_size], ax
        call    ring_start
        movzx   eax, word [si + disk.ring]
        shr     eax, 8
        mov     dx, [si + disk.port]
        add     dx, QUEUE
        out     dx, eax
        mov     al, 7               ; ready
        ; falls through

; al -> register bx of disk si
put_byte:
        mov     dx, [si + disk.port]
        add     dx, bx
        out     dx, al
        ret

; bl: register of the device at [address] -> eax; dx is the port of that register
pci_read:
        mov     eax, [address]
        mov     al, bl
        mov     dx, 0xcf8
        out     dx, eax
        mov     dx, 0xcfc
        in      eax, dx
        ret

; The three descriptors of the one request that there is at a time: what, data, outcome. Of disk
; si.
ring_start:
        push    es
        mov     es, [si + disk.ring]
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
        mov     ax, [si + disk.queue_size]
        imul    ax, 18
        add     ax, 6 + 4095
        and     ax, 0xf000
        add     ax, 2
        mov     [si + disk.used_ring], ax
        ret

read_slot:
        mov     ax, READ
        mov     bl, 0x42
        call    transfer
        jc      read_slot
        ret

; ax: buffer segment, bl: 42h read, 43h write -> CF set on an error
transfer:
        mov     si, [current]
        mov     fs, [si + disk.ring]
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
        inc     word [si + disk.issued]
        mov     ax, [si + disk.issued]
        mov     bx, [si + disk.queue_size]
        shl     bx, 4
        mov     [fs:bx + 2], ax     ; available
        mov     dx, [si + disk.port]
        add     dx, NOTIFY
        xor     ax, ax
        out     dx, ax
        mov     bx, [si + disk.used_ring]
        mov     ax, [si + disk.issued]
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

; Disks may share a line, so all of them take back theirs.
disk_interrupt:
        push    ax
        push    dx
        push    si
        push    ds
        mov     ax, DATA
        mov     ds, ax
        mov     si, table
.disk:  mov     dx, [si + disk.port]
        test    dx, dx
        jz      .end
        add     dx, ISR
        in      al, dx              ; takes it back
        add     si, disk_size
        cmp     si, table + MOST_DISKS * disk_size
        jb      .disk
.end:   mov     al, 0x20
        out     0xa0, al
        out     0x20, al
        pop     ds
        pop     si
        pop     dx
        pop     ax
        iret
