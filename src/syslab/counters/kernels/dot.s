	.file	"dot.c"
	.text
	.p2align 4
	.globl	dot_one_sum
	.type	dot_one_sum, @function
dot_one_sum:
	testq	%rdi, %rdi
	leaq	3(%rdi), %rcx
	cmovns	%rdi, %rcx
	sarq	$2, %rcx
	cmpq	$3, %rdi
	jle	.L4
	xorl	%eax, %eax
	xorl	%edx, %edx
	vxorpd	%xmm1, %xmm1, %xmm1
	.p2align 4,,10
	.p2align 3
.L3:
	addq	$1, %rdx
	vmovapd	x(%rax), %ymm3
	addq	$32, %rax
	vfmadd231pd	y-32(%rax), %ymm3, %ymm1
	cmpq	%rcx, %rdx
	jl	.L3
	vunpckhpd	%xmm1, %xmm1, %xmm2
	vaddsd	%xmm2, %xmm1, %xmm0
	vextractf128	$0x1, %ymm1, %xmm1
	vaddsd	%xmm1, %xmm0, %xmm0
	vunpckhpd	%xmm1, %xmm1, %xmm1
	vaddsd	%xmm1, %xmm0, %xmm0
	vzeroupper
	ret
	.p2align 4,,10
	.p2align 3
.L4:
	vxorpd	%xmm0, %xmm0, %xmm0
	ret
	.size	dot_one_sum, .-dot_one_sum
	.p2align 4
	.globl	dot_four_sums
	.type	dot_four_sums, @function
dot_four_sums:
	testq	%rdi, %rdi
	leaq	3(%rdi), %rcx
	cmovns	%rdi, %rcx
	sarq	$2, %rcx
	cmpq	$3, %rdi
	jle	.L10
	vxorpd	%xmm3, %xmm3, %xmm3
	xorl	%eax, %eax
	xorl	%edx, %edx
	vmovapd	%ymm3, %ymm1
	vmovapd	%ymm3, %ymm0
	vmovapd	%ymm3, %ymm2
	.p2align 4,,10
	.p2align 3
.L9:
	addq	$4, %rdx
	vmovapd	x(%rax), %ymm4
	vmovapd	x+32(%rax), %ymm5
	subq	$-128, %rax
	vmovapd	x-64(%rax), %ymm6
	vmovapd	x-32(%rax), %ymm7
	vfmadd231pd	y-128(%rax), %ymm4, %ymm2
	vfmadd231pd	y-96(%rax), %ymm5, %ymm0
	vfmadd231pd	y-64(%rax), %ymm6, %ymm1
	vfmadd231pd	y-32(%rax), %ymm7, %ymm3
	cmpq	%rcx, %rdx
	jl	.L9
	vaddpd	%ymm1, %ymm0, %ymm1
	vaddpd	%ymm3, %ymm1, %ymm1
	vaddpd	%ymm2, %ymm1, %ymm1
	vunpckhpd	%xmm1, %xmm1, %xmm2
	vaddsd	%xmm2, %xmm1, %xmm0
	vextractf128	$0x1, %ymm1, %xmm1
	vaddsd	%xmm1, %xmm0, %xmm0
	vunpckhpd	%xmm1, %xmm1, %xmm1
	vaddsd	%xmm1, %xmm0, %xmm0
	vzeroupper
	ret
	.p2align 4,,10
	.p2align 3
.L10:
	vxorpd	%xmm0, %xmm0, %xmm0
	ret
	.size	dot_four_sums, .-dot_four_sums
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
	movq	%rax, %rdi
	movq	8(%rbx), %rax
	cmpb	$49, (%rax)
	je	.L16
	call	dot_four_sums
.L14:
	xorl	%eax, %eax
	vmovsd	%xmm0, sink(%rip)
	popq	%rbx
	ret
.L16:
	call	dot_one_sum
	jmp	.L14
	.size	main, .-main
	.globl	sink
	.bss
	.align 8
	.type	sink, @object
	.size	sink, 8
sink:
	.zero	8
	.globl	y
	.align 4096
	.type	y, @object
	.size	y, 8388608
y:
	.zero	8388608
	.globl	x
	.align 4096
	.type	x, @object
	.size	x, 8388608
x:
	.zero	8388608
	.ident	"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
	.section	.note.GNU-stack,"",@progbits
