	.file	"chase.c"
	.text
	.p2align 4
	.globl	chase
	.type	chase, @function
chase:
	movq	%rdi, %rax
	testq	%rsi, %rsi
	jle	.L2
	xorl	%edx, %edx
	.p2align 4,,10
	.p2align 3
.L3:
	addq	$1, %rdx
	movq	(%rax), %rax
	cmpq	%rdx, %rsi
	jne	.L3
.L2:
	ret
	.size	chase, .-chase
	.section	.text.startup,"ax",@progbits
	.p2align 4
	.globl	main
	.type	main, @function
main:
	pushq	%rbx
	movq	16(%rsi), %rdi
	movq	%rsi, %rbx
	movl	$10, %edx
	xorl	%esi, %esi
	call	strtol
	testq	%rax, %rax
	jle	.L7
	xorl	%ecx, %ecx
	.p2align 4,,10
	.p2align 3
.L8:
	movl	%ecx, order(,%rcx,4)
	movq	%rcx, %r8
	addq	$1, %rcx
	cmpq	%rcx, %rax
	jne	.L8
	movq	8(%rbx), %rax
	cmpb	$114, (%rax)
	je	.L9
.L11:
	xorl	%esi, %esi
	.p2align 4,,10
	.p2align 3
.L10:
	movq	%rsi, %r9
	addq	$1, %rsi
	movq	%rsi, %rax
	movslq	order-4(,%rsi,4), %rdi
	cqto
	idivq	%rcx
	salq	$6, %rdi
	movslq	order(,%rdx,4), %rax
	salq	$6, %rax
	addq	$ring, %rax
	movq	%rax, ring(%rdi)
	cmpq	%r9, %r8
	jne	.L10
.L7:
	movq	24(%rbx), %rdi
	movl	$10, %edx
	xorl	%esi, %esi
	call	strtol
	movl	$ring, %edi
	movq	%rax, %rsi
	call	chase
	popq	%rbx
	movq	%rax, sink(%rip)
	xorl	%eax, %eax
	ret
.L9:
	testq	%r8, %r8
	je	.L11
	movq	%rcx, %rsi
	movl	$1, %edi
	movabsq	$6364136223846793005, %r11
	movabsq	$1442695040888963407, %r10
	.p2align 4,,10
	.p2align 3
.L12:
	imulq	%r11, %rdi
	xorl	%edx, %edx
	addq	%r10, %rdi
	movq	%rdi, %rax
	shrq	$33, %rax
	divq	%rsi
	movl	order-4(,%rsi,4), %eax
	movl	order(,%rdx,4), %r9d
	movl	%r9d, order-4(,%rsi,4)
	subq	$1, %rsi
	movl	%eax, order(,%rdx,4)
	cmpq	$1, %rsi
	jne	.L12
	jmp	.L11
	.size	main, .-main
	.globl	sink
	.bss
	.align 8
	.type	sink, @object
	.size	sink, 8
sink:
	.zero	8
	.local	order
	.comm	order,1048576,32
	.local	ring
	.comm	ring,16777216,4096
	.ident	"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
	.section	.note.GNU-stack,"",@progbits
