	.file	"matmul.c"
	.text
	.p2align 4
	.globl	matmul_ijk
	.type	matmul_ijk, @function
matmul_ijk:
	testq	%rdi, %rdi
	jle	.L10
	leaq	0(,%rdi,8), %rcx
	pushq	%rbx
	movq	%rdi, %r11
	xorl	%r10d, %r10d
	movl	$a, %r9d
	xorl	%ebx, %ebx
	leaq	(%rcx,%r9), %rsi
	.p2align 4,,10
	.p2align 3
.L3:
	movl	$b, %edi
	xorl	%r8d, %r8d
	.p2align 4,,10
	.p2align 3
.L6:
	movq	%rdi, %rdx
	movq	%r9, %rax
	vxorpd	%xmm0, %xmm0, %xmm0
	.p2align 4,,10
	.p2align 3
.L4:
	vmovsd	(%rax), %xmm1
	addq	$8, %rax
	vfmadd231sd	(%rdx), %xmm1, %xmm0
	addq	%rcx, %rdx
	cmpq	%rsi, %rax
	jne	.L4
	leaq	1(%r8), %rax
	addq	$8, %rdi
	vmovsd	%xmm0, c(%r10,%r8,8)
	cmpq	%rax, %r11
	je	.L5
	movq	%rax, %r8
	jmp	.L6
.L5:
	leaq	1(%rbx), %rax
	addq	%rcx, %r10
	addq	%rcx, %r9
	addq	%rcx, %rsi
	cmpq	%rbx, %r8
	je	.L8
	movq	%rax, %rbx
	jmp	.L3
.L8:
	popq	%rbx
	ret
.L10:
	ret
	.size	matmul_ijk, .-matmul_ijk
	.p2align 4
	.globl	matmul_ikj
	.type	matmul_ikj, @function
matmul_ikj:
	testq	%rdi, %rdi
	jle	.L21
	leaq	0(,%rdi,8), %r9
	xorl	%edx, %edx
	xorl	%r11d, %r11d
	leaq	a(%r9), %r10
	.p2align 4,,10
	.p2align 3
.L16:
	leaq	a(%rdx), %r8
	xorl	%ecx, %ecx
	.p2align 4,,10
	.p2align 3
.L18:
	vmovsd	(%r8), %xmm1
	xorl	%eax, %eax
	.p2align 4,,10
	.p2align 3
.L17:
	vmovsd	b(%rcx,%rax,8), %xmm0
	movq	%rax, %rsi
	vfmadd213sd	c(%rdx,%rax,8), %xmm1, %xmm0
	vmovsd	%xmm0, c(%rdx,%rax,8)
	addq	$1, %rax
	cmpq	%rax, %rdi
	jne	.L17
	addq	$8, %r8
	addq	%r9, %rcx
	cmpq	%r10, %r8
	jne	.L18
	leaq	1(%r11), %rax
	addq	%r9, %r10
	addq	%r9, %rdx
	cmpq	%rsi, %r11
	je	.L21
	movq	%rax, %r11
	jmp	.L16
.L21:
	ret
	.size	matmul_ikj, .-matmul_ikj
	.p2align 4
	.globl	matmul_blocked
	.type	matmul_blocked, @function
matmul_blocked:
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%rbp
	pushq	%rbx
	movq	%rdi, -88(%rsp)
	testq	%rdi, %rdi
	jle	.L43
	movl	$a, %edx
	movq	%rdi, %r8
	movq	%rdi, %r9
	xorl	%r10d, %r10d
	leaq	0(,%rsi,8), %rax
	movq	%rdx, %rbx
	xorl	%r14d, %r14d
	subq	%rax, %rbx
	imulq	%rsi, %r8
	leaq	0(,%rdi,8), %r15
	movq	%rsi, %rdi
	imulq	%rax, %r9
	movq	%rbx, -64(%rsp)
.L24:
	leaq	0(,%r10,8), %rax
	xorl	%ecx, %ecx
	xorl	%r13d, %r13d
	movq	%r10, %r11
	movq	%r14, -80(%rsp)
	addq	%rdi, %r14
	movq	%rax, -56(%rsp)
	movq	%r9, %rax
.L37:
	movq	%r13, %rbp
	addq	%rdi, %r13
	leaq	0(,%rcx,8), %r12
	xorl	%r9d, %r9d
	leaq	0(,%r13,8), %rbx
	leaq	(%rbx,%rdx), %rsi
	movq	%rsi, -72(%rsp)
	movq	-64(%rsp), %rsi
	addq	%rsi, %rbx
	xorl	%esi, %esi
.L36:
	movq	%rsi, %r10
	addq	%rdi, %rsi
	testq	%rdi, %rdi
	jle	.L33
	movq	%rcx, -48(%rsp)
	movq	%r11, -40(%rsp)
	movq	%r8, -32(%rsp)
	movq	%rdx, -24(%rsp)
.L32:
	movq	-56(%rsp), %rdx
	movq	-72(%rsp), %r8
	movq	%rax, -16(%rsp)
	movq	%rdi, -8(%rsp)
	movq	-80(%rsp), %r11
	.p2align 4,,10
	.p2align 3
.L34:
	cmpq	%rbp, %r13
	jle	.L27
	leaq	(%rdx,%rbx), %rdi
	movq	%r12, %rcx
	.p2align 4,,10
	.p2align 3
.L26:
	vmovsd	(%rdi), %xmm1
	cmpq	%r9, %rsi
	jle	.L28
	movq	%r10, %rax
	.p2align 4,,10
	.p2align 3
.L25:
	vmovsd	b(%rcx,%rax,8), %xmm0
	vfmadd213sd	c(%rdx,%rax,8), %xmm1, %xmm0
	vmovsd	%xmm0, c(%rdx,%rax,8)
	addq	$1, %rax
	cmpq	%rsi, %rax
	jne	.L25
.L28:
	addq	$8, %rdi
	addq	%r15, %rcx
	cmpq	%r8, %rdi
	jne	.L26
.L27:
	addq	$1, %r11
	addq	%r15, %r8
	addq	%r15, %rdx
	cmpq	%r11, %r14
	jg	.L34
	movq	-8(%rsp), %rdi
	movq	-16(%rsp), %rax
	addq	%rdi, %r9
	cmpq	%rsi, -88(%rsp)
	jle	.L41
	movq	%rsi, %r10
	addq	%rdi, %rsi
	jmp	.L32
.L33:
	addq	%rdi, %r9
	cmpq	%rsi, -88(%rsp)
	jg	.L36
	movq	-88(%rsp), %rbx
	addq	%r8, %rcx
	cmpq	%rbx, %r13
	jl	.L37
.L35:
	movq	%rax, %r9
	addq	%rax, %rdx
	movq	-88(%rsp), %rax
	movq	%r11, %r10
	addq	%r8, %r10
	cmpq	%rax, %r14
	jl	.L24
.L43:
	popq	%rbx
	popq	%rbp
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	ret
.L41:
	movq	-48(%rsp), %rcx
	movq	-32(%rsp), %r8
	movq	-88(%rsp), %rbx
	movq	-40(%rsp), %r11
	movq	-24(%rsp), %rdx
	addq	%r8, %rcx
	cmpq	%rbx, %r13
	jl	.L37
	jmp	.L35
	.size	matmul_blocked, .-matmul_blocked
	.section	.text.startup,"ax",@progbits
	.p2align 4
	.globl	main
	.type	main, @function
main:
	pushq	%r12
	movl	%edi, %r12d
	movl	$10, %edx
	pushq	%rbp
	pushq	%rbx
	movq	16(%rsi), %rdi
	movq	%rsi, %rbx
	xorl	%esi, %esi
	call	strtol
	movq	%rax, %rbp
	movq	8(%rbx), %rax
	cmpb	$98, (%rax)
	je	.L53
	cmpb	$106, 1(%rax)
	movq	%rbp, %rdi
	je	.L54
	call	matmul_ikj
.L49:
	popq	%rbx
	xorl	%eax, %eax
	popq	%rbp
	popq	%r12
	ret
.L54:
	call	matmul_ijk
	jmp	.L49
.L53:
	cmpl	$3, %r12d
	jg	.L55
	movl	$16, %esi
.L48:
	movq	%rbp, %rdi
	call	matmul_blocked
	jmp	.L49
.L55:
	movq	24(%rbx), %rdi
	xorl	%esi, %esi
	movl	$10, %edx
	call	strtol
	movq	%rax, %rsi
	jmp	.L48
	.size	main, .-main
	.globl	c
	.bss
	.align 4096
	.type	c, @object
	.size	c, 524288
c:
	.zero	524288
	.globl	b
	.align 4096
	.type	b, @object
	.size	b, 524288
b:
	.zero	524288
	.globl	a
	.align 4096
	.type	a, @object
	.size	a, 524288
a:
	.zero	524288
	.ident	"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
	.section	.note.GNU-stack,"",@progbits
