"""Philox4x32-10 as a person writes it in CUDA (Salmon, Moraes, Dror, Shaw, 2011)."""

PHILOX = """
__device__ __forceinline__ void philox(unsigned int (&c)[4], unsigned int k0, unsigned int k1) {
    #pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned long long p = (unsigned long long)c[0] * 0xD2511F53u;
        unsigned long long q = (unsigned long long)c[2] * 0xCD9E8D57u;
        unsigned int c0 = (unsigned int)(q >> 32) ^ c[1] ^ k0, c2 = (unsigned int)(p >> 32) ^ c[3] ^ k1;
        c[0] = c0;
        c[1] = (unsigned int)q;
        c[2] = c2;
        c[3] = (unsigned int)p;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}
"""
