; The test guest: no operating system, only a boot sector and seven more sectors of the disk
; under test. It boots from vda, checks what it wrote in earlier lives, and then writes stamped
; slots forever. With several disks it writes each generation to one disk after the other, vda
; first, and waits for each; so a disk is at most one generation behind the one before it.
; A generation is acknowledged on COM1 only after the last device has reported success.
;
;   B <newest generation> <bad sectors>   after every boot, once the whole region was read; both
;                                         numbers for each disk
;   A <generation>                        this and every earlier generation is on all disks
;   X <generation>                        a slot read back differs from what was written
;   E <generation>                        the write failed (it is tried again)
;
; The layout of a sector and the parameter block are mirrored in guest-sector.ts.
; Built by: nasm -f bin -i <this folder>/ guest.asm

bits 16
org 0x7c00

MAGIC     equ 0x57464c42            ; "BLFW"
EXPECTED  equ 0x1000                ; segment: the sectors as they have to be
READ      equ 0x2000                ; segment: the sectors as the disk holds them
COM1      equ 0x3f8
; Data and stack lie in other pages than the code: TCG looks for translated code at every write
; into a page that has some, which is slow.
DATA      equ 0x200                 ; ds: the image is copied this many paragraphs up
STACK     equ 0x7000
IMAGE     equ 4096                  ; bytes

%include "boot.asm"

; ---- the parameter block: the first bytes of sector 1, patched by guest-sector.ts ----
params:       db "BFGUEST1"
seed:         dd 1
slot_mask:    dd 255                ; slots - 1; the number of slots is a power of two
multiplier:   dd 1                  ; slot of g = g * multiplier & slot_mask
inverse:      dd 1                  ; g = slot * inverse (mod slots)
region:       dd 2048               ; first sector of slot 0
stride:       dd 128                ; sectors from slot to slot
sectors:      dd 1                  ; sectors per write, 1..127
ack_every:    dd 1
check_every:  dd 16
pit_divisor:  dd 0                  ; 0: leave the timer at 18.2 Hz
pace_ticks:   dd 0                  ; ticks between writes; 0: none
disks:        dd 1                  ; that are written, 1..MOST_DISKS

generation:   dd 0
newest:       dd 0
bad:          dd 0
slot:         dd 0
until_ack:    dd 0
until_check:  dd 0
random:       dd 12345
picked:       dd 0
ticks:        dd 0                  ; counted by our own int 8

main:
        call    serial_start
        call    timer_start
        call    disks_start
        mov     al, 'B'
        call    put_char
        call    first_disk
.disk:  call    find_newest
        call    count_bad
        mov     ebx, [newest]
        cmp     ebx, [generation]
        jbe     .print
        mov     [generation], ebx
.print: call    print_number
        mov     ebx, [bad]
        call    print_number
        call    next_disk
        jc      .disk
        call    print_end
        mov     dword [until_ack], 1 ; so that not acknowledged writes cannot add up over boots
        mov     eax, [check_every]
        mov     [until_check], eax
        ; The newest generation may be a torn write that was never acknowledged, or not be on the
        ; last disks: write it again.
        cmp     dword [generation], 0
        jne     next_write
        inc     dword [generation]

next_write:
        mov     eax, [generation]
        call    slot_of
        mov     [slot], eax
        call    first_disk
.disk:  mov     edx, [generation]
        call    build_slot
.write: mov     ax, EXPECTED
        mov     bl, 0x43
        call    transfer
        jnc     .written
        mov     ebx, [generation]
        mov     al, 'E'
        call    print_line
        call    wait_tick
        jmp     .write
.written:
        call    next_disk
        jc      .disk
        dec     dword [until_ack]
        jnz     .check
        mov     eax, [ack_every]
        mov     [until_ack], eax
        mov     ebx, [generation]
        mov     al, 'A'
        call    print_line
.check: dec     dword [until_check]
        jnz     .pace
        mov     eax, [check_every]
        mov     [until_check], eax
        call    check_one
.pace:  inc     dword [generation]
        mov     cx, [pace_ticks]
        jcxz    next_write
.wait:  call    wait_tick
        loop    .wait
        jmp     next_write

; Reads back one of the generations that have to be on the disks now, chosen at random.
check_one:
        imul    eax, [random], 1664525
        add     eax, 1013904223
        mov     [random], eax
        shr     eax, 8
        and     eax, [slot_mask]
        mov     edx, [generation]
        sub     edx, eax
        jle     .end
        mov     [picked], edx
        mov     eax, edx
        call    slot_of
        mov     [slot], eax
        call    first_disk
.disk:  mov     edx, [picked]
        call    build_slot
        call    read_slot
        xor     bx, bx
.sector:
        call    same_sector
        jne     .differs
        inc     bx
        cmp     bx, [sectors]
        jb      .sector
        call    next_disk
        jc      .disk
.end:   ret
.differs:
        mov     ebx, [picked]
        mov     al, 'X'
        jmp     print_line

; newest := the highest generation of any intact sector of the current disk
find_newest:
        mov     dword [newest], 0
        mov     dword [slot], 0
.slot:  call    read_slot
        xor     bx, bx              ; sector index
.sector:
        mov     ax, READ
        mov     fs, ax
        mov     di, bx
        shl     di, 9
        cmp     dword [fs:di], MAGIC
        jne     .next
        mov     edx, [fs:di + 8]
        cmp     edx, [newest]
        jbe     .next
        mov     eax, edx
        call    slot_of
        cmp     eax, [slot]
        jne     .next
        push    edx
        call    build_sector
        call    same_sector
        pop     edx
        jne     .next
        mov     [newest], edx
.next:  inc     bx
        cmp     bx, [sectors]
        jb      .sector
        inc     dword [slot]
        mov     eax, [slot]
        cmp     eax, [slot_mask]
        jbe     .slot
        ret

; bad := sectors that differ from what the newest generation implies. The slots of the newest
; generation and of the one after it are left out: that write may have been cut short.
count_bad:
        mov     dword [bad], 0
        mov     dword [slot], 0
.slot:  mov     eax, [newest]
        call    slot_of
        cmp     eax, [slot]
        je      .next_slot
        mov     eax, [newest]
        inc     eax
        call    slot_of
        cmp     eax, [slot]
        je      .next_slot
        call    read_slot
        mov     eax, [slot]
        imul    eax, [inverse]
        mov     edx, [newest]
        sub     edx, eax
        and     edx, [slot_mask]
        mov     eax, [newest]
        sub     eax, edx
        mov     edx, eax            ; the generation due in this slot; < 1: never written
        xor     bx, bx
.sector:
        push    edx
        test    edx, edx
        jg      .stamped
        call    build_zero
        jmp     .compare
.stamped:
        call    build_sector
.compare:
        call    same_sector
        pop     edx
        je      .next
        inc     dword [bad]
.next:  inc     bx
        cmp     bx, [sectors]
        jb      .sector
.next_slot:
        inc     dword [slot]
        mov     eax, [slot]
        cmp     eax, [slot_mask]
        jbe     .slot
        ret

%include "sector.asm"
%include "devices.asm"
%include "virtio-disk.asm"

        times IMAGE - ($ - $$) db 0
