// Stores of the vector units and of the state-saving instructions, where the processor has them.
#include <cpuid.h>

#include "pkeys_tests/routes/arena.h"

namespace lightning::routes {
namespace {

const char* NoAvx2() { return __builtin_cpu_supports("avx2") ? nullptr : "the processor has no AVX2"; }
const char* NoAvx512() { return __builtin_cpu_supports("avx512f") ? nullptr : "the processor has no AVX-512"; }
const char* NoAvx512Bw() { return __builtin_cpu_supports("avx512bw") ? nullptr : "the processor has no AVX-512BW"; }
bool Leaf(uint32_t leaf, uint32_t sub, uint32_t which, uint32_t bit) {
  uint32_t r[4] = {};
  return __get_cpuid_count(leaf, sub, &r[0], &r[1], &r[2], &r[3]) != 0 && (r[which] >> bit & 1) != 0;
}
const char* NoXsave() { return Leaf(1, 0, 2, 27) ? nullptr : "the kernel has not enabled XSAVE"; }
const char* NoXsaveopt() { return Leaf(13, 1, 0, 0) ? NoXsave() : "the processor has no XSAVEOPT"; }
const char* NoXsavec() { return Leaf(13, 1, 0, 1) ? NoXsave() : "the processor has no XSAVEC"; }
const char* NoMovdiri() { return Leaf(7, 0, 2, 27) ? nullptr : "the processor has no MOVDIRI"; }
const char* NoMovdir64() { return Leaf(7, 0, 2, 28) ? nullptr : "the processor has no MOVDIR64B"; }

#define LIGHTNING_FILL_XMM0 "movq %1, %%xmm0\n\tpunpcklqdq %%xmm0, %%xmm0\n\t"
#define LIGHTNING_FILL_YMM0 "vmovq %1, %%xmm0\n\tvpbroadcastq %%xmm0, %%ymm0\n\t"
#define LIGHTNING_FILL_ZMM0 "vpbroadcastq %1, %%zmm0\n\t"
#define LIGHTNING_WIDE(name, text)                                                     \
  void name(Arena&, std::byte* at) {                                                   \
    asm volatile(text ::"r"(at), "r"(kStray) : "rdi", "xmm0", "xmm1", "memory", "cc"); \
  }

LIGHTNING_WIDE(Movdqu, LIGHTNING_FILL_XMM0 "movdqu %%xmm0, (%0)")
LIGHTNING_WIDE(Movaps, LIGHTNING_FILL_XMM0 "movaps %%xmm0, (%0)")
LIGHTNING_WIDE(Movlps, LIGHTNING_FILL_XMM0 "movlps %%xmm0, (%0)")
LIGHTNING_WIDE(Movnti, "movntiq %1, (%0)\n\tsfence")
LIGHTNING_WIDE(Movntdq, LIGHTNING_FILL_XMM0 "movntdq %%xmm0, (%0)\n\tsfence")
LIGHTNING_WIDE(Maskmovdqu, LIGHTNING_FILL_XMM0 "pcmpeqd %%xmm1, %%xmm1\n\tmovq %0, %%rdi\n\tmaskmovdqu %%xmm1, %%xmm0")
LIGHTNING_WIDE(AvxStore, LIGHTNING_FILL_YMM0 "vmovdqu %%ymm0, (%0)\n\tvzeroupper")
LIGHTNING_WIDE(AvxNonTemporal, LIGHTNING_FILL_YMM0 "vmovntdq %%ymm0, (%0)\n\tsfence\n\tvzeroupper")
LIGHTNING_WIDE(AvxExtract, LIGHTNING_FILL_YMM0 "vextractf128 $1, %%ymm0, (%0)\n\tvzeroupper")
LIGHTNING_WIDE(AvxMasked,
               LIGHTNING_FILL_YMM0 "vpcmpeqd %%ymm1, %%ymm1, %%ymm1\n\tvmaskmovps %%ymm0, %%ymm1, (%0)\n\tvzeroupper")
LIGHTNING_WIDE(Avx2Masked,
               LIGHTNING_FILL_YMM0 "vpcmpeqd %%ymm1, %%ymm1, %%ymm1\n\tvpmaskmovq %%ymm0, %%ymm1, (%0)\n\tvzeroupper")
LIGHTNING_WIDE(Avx512Store, LIGHTNING_FILL_ZMM0 "vmovdqu64 %%zmm0, (%0)\n\tvzeroupper")
LIGHTNING_WIDE(Avx512NonTemporal, LIGHTNING_FILL_ZMM0 "vmovntdq %%zmm0, (%0)\n\tsfence\n\tvzeroupper")
LIGHTNING_WIDE(Avx512Masked, LIGHTNING_FILL_ZMM0
               "movl $0x55, %%edi\n\tkmovw %%edi, %%k1\n\tvmovdqu64 %%zmm0, (%0)%{%%k1%}\n\tvzeroupper")
LIGHTNING_WIDE(Avx512MaskedBytes, LIGHTNING_FILL_ZMM0
               "movl $0x10, %%edi\n\tkmovd %%edi, %%k1\n\tvmovdqu8 %%zmm0, (%0)%{%%k1%}\n\tvzeroupper")
LIGHTNING_WIDE(Avx512Compress, LIGHTNING_FILL_ZMM0
               "movl $0x15, %%edi\n\tkmovw %%edi, %%k1\n\tvpcompressq %%zmm0, (%0)%{%%k1%}\n\tvzeroupper")
LIGHTNING_WIDE(Avx512Scatter, LIGHTNING_FILL_ZMM0
               "vpxorq %%zmm1, %%zmm1, %%zmm1\n\tmovl $0xFF, %%edi\n\tkmovw %%edi, %%k1\n\t"
               "vpscatterqq %%zmm0, (%0,%%zmm1,8)%{%%k1%}\n\tvzeroupper")
LIGHTNING_WIDE(Movdiri, "movdiri %1, (%0)\n\tsfence")

void Movdir64(Arena&, std::byte* at) {
  alignas(64) static uint64_t from[8] = {kStray, kStray, kStray, kStray, kStray, kStray, kStray, kStray};
  asm volatile("movdir64b (%1), %0\n\tsfence" ::"r"(at), "r"(from) : "memory");
}
void Xsave(Arena&, std::byte* at) { asm volatile("xsave64 (%0)" ::"r"(at), "a"(3), "d"(0) : "memory"); }
void Xsaveopt(Arena&, std::byte* at) { asm volatile("xsaveopt64 (%0)" ::"r"(at), "a"(3), "d"(0) : "memory"); }
void Xsavec(Arena&, std::byte* at) { asm volatile("xsavec64 (%0)" ::"r"(at), "a"(3), "d"(0) : "memory"); }

constexpr Sign kF = Sign::kFault;
constexpr Act kStores[] = {
    {"sse_movdqu", kF, Movdqu},
    {"sse_movaps", kF, Movaps, 16, 16},
    {"sse_movlps", kF, Movlps},
    {"movnti", kF, Movnti},
    {"movntdq", kF, Movntdq, 16, 16},
    {"maskmovdqu", kF, Maskmovdqu},
    {"avx_vmovdqu", kF, AvxStore, 32, 8, 0, NoAvx2},
    {"avx_vmovntdq", kF, AvxNonTemporal, 32, 32, 0, NoAvx2},
    {"avx_vextractf128", kF, AvxExtract, 32, 8, 0, NoAvx2},
    {"avx_vmaskmovps", kF, AvxMasked, 32, 8, 0, NoAvx2},
    {"avx2_vpmaskmovq", kF, Avx2Masked, 32, 8, 0, NoAvx2},
    {"avx512_vmovdqu64", kF, Avx512Store, 64, 8, 0, NoAvx512},
    {"avx512_vmovntdq", kF, Avx512NonTemporal, 64, 64, 0, NoAvx512},
    {"avx512_masked", kF, Avx512Masked, 64, 8, 0, NoAvx512},
    {"avx512_masked_bytes", kF, Avx512MaskedBytes, 64, 8, 0, NoAvx512Bw},
    {"avx512_compress", kF, Avx512Compress, 64, 8, 0, NoAvx512},
    {"avx512_scatter", kF, Avx512Scatter, 64, 8, 0, NoAvx512},
    {"movdiri", kF, Movdiri, 8, 8, 0, NoMovdiri},
    {"movdir64b", kF, Movdir64, 64, 64, 0, NoMovdir64},
    {"xsave", kF, Xsave, 1024, 64, 0, NoXsave},
    {"xsaveopt", kF, Xsaveopt, 1024, 64, 0, NoXsaveopt},
    {"xsavec", kF, Xsavec, 1024, 64, 0, NoXsavec},
};

}  // namespace

std::span<const Act> WideStores() { return kStores; }

}  // namespace lightning::routes
