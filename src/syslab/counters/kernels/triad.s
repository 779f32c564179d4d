	.file	"triad.c"
	.text
	.p2align 4
	.globl	triad
	.type	triad, @function
triad:
	testq	%rdi, %rdi
	leaq	3(%rdi), %rcx
	cmovns	%rdi, %rcx
	sarq	$2, %rcx
	cmpq	$3, %rdi
	jle	.L5
	vbroadcastsd	.LC1(%rip), %ymm1
	xorl	%eax, %eax
	xorl	%edx, %edx
	.p2align 4,,10
	.p2align 3
.L3:
	vmovapd	c(%rax), %ymm0
	addq	$1, %rdx
	addq	$32, %rax
	vfmadd213pd	b-32(%rax), %ymm1, %ymm0
	vmovapd	%ymm0, a-32(%rax)
	cmpq	%rcx, %rdx
	jl	.L3
	vzeroupper
.L5:
	ret
	.size	triad, .-triad
	.section	.text.startup,"ax",@progbits
	.p2align 4
	.globl	main
	.type	main, @function
main:
	subq	$8, %rsp
	movq	8(%rsi), %rdi
	movl	$10, %edx
	xorl	%esi, %esi
	call	strtol
	movq	%rax, %rdi
	call	triad
	xorl	%eax, %eax
	addq	$8, %rsp
	ret
	.size	main, .-main
	.globl	c
	.bss
	.align 4096
	.type	c, @object
	.size	c, 8388608
c:
	.zero	8388608
	.globl	b
	.align 4096
	.type	b, @object
	.size	b, 8388608
b:
	.zero	8388608
	.globl	a
	.align 4096
	.type	a, @object
	.size	a, 8388608
a:
	.zero	8388608
	.section	.rodata.cst8,"aM",@progbits,8
	.align 8
.LC1:
	.long	0
	.long	1074266112
	.ident	"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
	.section	.note.GNU-stack,"",@progbits
