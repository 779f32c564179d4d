	.file	"gather.c"
	.text
	.p2align 4
	.globl	gather_hashed
	.type	gather_hashed, @function
gather_hashed:
	testq	%rdi, %rdi
	je	.L4
	movabsq	$-7046029254386353131, %r8
	xorl	%eax, %eax
	xorl	%edx, %edx
	imulq	%r8, %rdi
	.p2align 4,,10
	.p2align 3
.L3:
	shrx	%rsi, %rax, %rcx
	addq	%r8, %rax
	addl	table(,%rcx,4), %edx
	cmpq	%rdi, %rax
	jne	.L3
	movl	%edx, %eax
	ret
	.p2align 4,,10
	.p2align 3
.L4:
	xorl	%edx, %edx
	movl	%edx, %eax
	ret
	.size	gather_hashed, .-gather_hashed
	.p2align 4
	.globl	gather_sequential
	.type	gather_sequential, @function
gather_sequential:
	testq	%rdi, %rdi
	je	.L10
	xorl	%eax, %eax
	xorl	%edx, %edx
	.p2align 4,,10
	.p2align 3
.L9:
	movq	%rsi, %rcx
	andq	%rax, %rcx
	addq	$1, %rax
	addl	table(,%rcx,4), %edx
	cmpq	%rdi, %rax
	jne	.L9
	movl	%edx, %eax
	ret
	.p2align 4,,10
	.p2align 3
.L10:
	xorl	%edx, %edx
	movl	%edx, %eax
	ret
	.size	gather_sequential, .-gather_sequential
	.section	.text.startup,"ax",@progbits
	.p2align 4
	.globl	main
	.type	main, @function
main:
	pushq	%rbp
	movl	$10, %edx
	pushq	%rbx
	movq	%rsi, %rbx
	subq	$8, %rsp
	movq	16(%rsi), %rdi
	xorl	%esi, %esi
	call	strtol
	movq	24(%rbx), %rdi
	xorl	%esi, %esi
	movl	$10, %edx
	movq	%rax, %rbp
	call	strtol
	movq	%rax, %rdi
	movq	8(%rbx), %rax
	cmpb	$104, (%rax)
	je	.L16
	movl	$1, %esi
	shlx	%rbp, %rsi, %rsi
	subq	$1, %rsi
	call	gather_sequential
.L14:
	movl	%eax, sink(%rip)
	addq	$8, %rsp
	xorl	%eax, %eax
	popq	%rbx
	popq	%rbp
	ret
.L16:
	movl	$64, %esi
	subl	%ebp, %esi
	call	gather_hashed
	jmp	.L14
	.size	main, .-main
	.globl	sink
	.bss
	.align 4
	.type	sink, @object
	.size	sink, 4
sink:
	.zero	4
	.globl	table
	.align 4096
	.type	table, @object
	.size	table, 4194304
table:
	.zero	4194304
	.ident	"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
	.section	.note.GNU-stack,"",@progbits
