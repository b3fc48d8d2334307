; The guest's timer, interrupts and serial port. Part of guest.asm.

wait_tick:
        mov     eax, [ticks]
.wait:  hlt
        cmp     eax, [ticks]
        je      .wait
        ret

timer_start:
        cli
        mov     eax, 8
        mov     bx, timer_tick
        call    set_vector
        mov     al, 0x34
        out     0x43, al
        mov     eax, [pit_divisor]
        out     0x40, al
        mov     al, ah
        out     0x40, al
        sti
        ret

; al: interrupt line of a disk
catch_interrupt:
        mov     cl, al
        and     cl, 7
        mov     ah, 1
        shl     ah, cl
        not     ah
        mov     dx, 0x21            ; the controller's mask
        add     al, 8               ; the interrupt of line 0 is 8, that of line 8 is 70h
        cmp     al, 16
        jb      .unmask
        mov     dx, 0xa1
        add     al, 0x70 - 16
.unmask:
        movzx   cx, al
        in      al, dx
        and     al, ah
        out     dx, al
        mov     ax, cx
        mov     bx, disk_interrupt
        ; falls through

; ax: interrupt, bx: its handler
set_vector:
        shl     ax, 2
        mov     di, ax
        push    ds
        push    0
        pop     ds
        mov     [di], bx
        mov     word [di + 2], 0
        pop     ds
        ret

timer_tick:
        push    ax
        push    ds
        mov     ax, DATA
        mov     ds, ax
        inc     dword [ticks]
        mov     al, 0x20
        out     0x20, al
        pop     ds
        pop     ax
        iret

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
        call    put_char
        call    print_number
print_end:
        mov     al, 10
        jmp     put_char
; ebx: number
print_number:
        mov     al, ' '
        call    put_char
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
