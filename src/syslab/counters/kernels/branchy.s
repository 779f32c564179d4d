	.file	"branchy.c"
	.text
	.p2align 4
	.globl	branchy
	.type	branchy, @function
branchy:
	testq	%rdi, %rdi
	jle	.L5
	xorl	%eax, %eax
	xorl	%ecx, %ecx
	.p2align 4,,10
	.p2align 3
.L4:
	movzbl	data(%rax), %edx
	testb	%dl, %dl
	jns	.L3
	addq	%rdx, %rcx
.L3:
	addq	$1, %rax
	cmpq	%rax, %rdi
	jne	.L4
	movq	%rcx, %rax
	ret
	.p2align 4,,10
	.p2align 3
.L5:
	xorl	%ecx, %ecx
	movq	%rcx, %rax
	ret
	.size	branchy, .-branchy
	.section	.text.startup,"ax",@progbits
	.p2align 4
	.globl	main
	.type	main, @function
main:
	pushq	%r15
	movl	$10, %edx
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%rbp
	pushq	%rbx
	movq	%rsi, %rbx
	subq	$2056, %rsp
	movq	16(%rsi), %rdi
	xorl	%esi, %esi
	movq	%rsp, %rbp
	call	strtol
	movq	24(%rbx), %rdi
	movl	$10, %edx
	xorl	%esi, %esi
	movq	%rax, %r13
	call	strtol
	movl	$256, %ecx
	movq	%rbp, %rdi
	movq	%rax, %r14
	xorl	%eax, %eax
	rep stosq
	testq	%r13, %r13
	jle	.L9
	xorl	%edx, %edx
	movl	$1, %eax
	movabsq	$6364136223846793005, %r8
	movabsq	$1442695040888963407, %rdi
	jmp	.L10
	.p2align 4,,10
	.p2align 3
.L25:
	movq	%rax, %rdx
	imulq	%r8, %rdx
	addq	%rdi, %rdx
	shrq	$56, %rdx
	movq	(%rsp,%rdx,8), %rdx
.L10:
	imulq	%r8, %rax
	addq	$1, %rdx
	addq	$1, %rcx
	addq	%rdi, %rax
	movq	%rax, %rsi
	shrq	$56, %rsi
	movb	%sil, data-1(%rcx)
	movq	%rdx, (%rsp,%rsi,8)
	cmpq	%r13, %rcx
	jne	.L25
.L9:
	movq	8(%rbx), %rax
	cmpb	$115, (%rax)
	je	.L26
.L12:
	testq	%r14, %r14
	jle	.L23
	xorl	%esi, %esi
	.p2align 4,,10
	.p2align 3
.L15:
	movq	%r13, %rdi
	addq	$1, %rsi
	call	branchy
	movq	%rax, sink(%rip)
	cmpq	%rsi, %r14
	jne	.L15
.L23:
	addq	$2056, %rsp
	xorl	%eax, %eax
	popq	%rbx
	popq	%rbp
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	ret
.L26:
	xorl	%ebx, %ebx
	xorl	%r15d, %r15d
	.p2align 4,,10
	.p2align 3
.L11:
	movq	0(%rbp,%rbx,8), %rdx
	leaq	-1(%rdx), %r12
	movq	%r12, 0(%rbp,%rbx,8)
	testq	%rdx, %rdx
	jle	.L14
	leaq	data(%r15), %rdi
	movl	%ebx, %esi
	leaq	1(%r12,%r15), %r15
	call	memset
	movq	$-1, 0(%rbp,%rbx,8)
.L14:
	addq	$1, %rbx
	cmpq	$256, %rbx
	jne	.L11
	jmp	.L12
	.size	main, .-main
	.globl	sink
	.bss
	.align 8
	.type	sink, @object
	.size	sink, 8
sink:
	.zero	8
	.globl	data
	.align 4096
	.type	data, @object
	.size	data, 1048576
data:
	.zero	1048576
	.ident	"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
	.section	.note.GNU-stack,"",@progbits
