; What a sector of the guest has to be. Part of guest.asm. The seed differs from disk to disk, so
; that no sector of one disk is taken for one of another.

; eax: generation -> eax: its slot
slot_of:
        imul    eax, [multiplier]
        and     eax, [slot_mask]
        ret

; edx: generation. Builds all sectors of [slot].
build_slot:
        xor     bx, bx
.next:  push    edx
        call    build_sector
        pop     edx
        inc     bx
        cmp     bx, [sectors]
        jb      .next
        ret

; edx: generation, bx: sector index. Builds that sector of [slot]; destroys eax, ecx, edx, ebp.
build_sector:
        push    es
        mov     ax, EXPECTED
        mov     es, ax
        mov     di, bx
        shl     di, 9
        xor     ebp, ebp            ; checksum
        mov     eax, MAGIC
        call    .put
        mov     eax, [slot]
        call    .put
        mov     eax, edx
        call    .put
        mov     eax, [disk_seed]
        call    .put
        movzx   eax, bx
        call    .put
        mov     eax, [sectors]
        call    .put
        mov     eax, edx
        not     eax
        call    .put
        xor     eax, eax
        call    .put
        imul    eax, edx, 0x85ebca6b
        imul    edx, [slot], 0x9e3779b1
        xor     eax, edx
        movzx   edx, bx
        imul    edx, edx, 0xc2b2ae35
        xor     eax, edx
        xor     eax, [disk_seed]
        mov     cx, 119
.body:  imul    eax, eax, 1664525
        add     eax, 1013904223
        call    .put
        loop    .body
        mov     eax, ebp
        stosd
        pop     es
        ret
.put:   rol     ebp, 5
        xor     ebp, eax
        stosd
        ret

build_zero:
        push    es
        mov     ax, EXPECTED
        mov     es, ax
        mov     di, bx
        shl     di, 9
        xor     eax, eax
        mov     cx, 128
        rep     stosd
        pop     es
        ret

; bx: sector index -> ZF set if the sector read is the one expected
same_sector:
        push    ds
        push    es
        mov     di, bx
        shl     di, 9
        mov     si, di
        mov     ax, READ
        mov     es, ax
        mov     ax, EXPECTED
        mov     ds, ax
        mov     cx, 128
        repe    cmpsd
        pop     es
        pop     ds
        ret
