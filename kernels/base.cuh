// What every kernel here stands on. Written so that the same text compiles with NVRTC, with nvcc and, with
// GPUSCAN_EMULATOR defined, with a host C++ compiler against emulator.h (which then supplies these words).
#pragma once

#ifndef GPUSCAN_EMULATOR

// An array in device memory. Kernels index it and nothing else, so that the emulator can check every access.
template <class T>
using Global = T* __restrict__;

// An array shared by the threads of a block: GPUSCAN_SHARED(float, tile, 256);
#define GPUSCAN_SHARED(T, name, count) __shared__ T name[count]

// A shared array as a parameter of a function.
template <class T>
using Shared = T*;

// Shared memory whose size the launch gives: all of it as one array, or `count` elements from byte `offset` on.
extern __shared__ __align__(128) unsigned char gpuscan_dynamic_shared[];
#define GPUSCAN_DYNAMIC_SHARED(T, name) GPUSCAN_DYNAMIC_SHARED_AT(T, name, 0, 0)
#define GPUSCAN_DYNAMIC_SHARED_AT(T, name, offset, count) \
    T* const name = reinterpret_cast<T*>(gpuscan_dynamic_shared + (offset))

// Words of memory by which blocks, or the threads of one, tell each other of their progress: T is of 4, 8 or 16 bytes,
// and of 16 bytes each half is read and written whole. An acquiring load that reads what a releasing store wrote also
// sees all that was written before that store. Relaxed ones order nothing else. A thread that waits calls
// gpuscan_pause() between looks.
#define GPUSCAN_WORD_LOAD(name, order)                                                                              \
    template <class T>                                                                                              \
    __device__ __forceinline__ T name(const T* place) {                                                             \
        static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "a word has 4, 8 or 16 bytes");          \
        T value;                                                                                                    \
        if constexpr (sizeof(T) == 4) {                                                                             \
            unsigned int bits;                                                                                      \
            asm volatile("ld." order ".gpu.b32 %0, [%1];" : "=r"(bits) : "l"(place) : "memory");                    \
            memcpy(&value, &bits, 4);                                                                               \
        } else if constexpr (sizeof(T) == 8) {                                                                      \
            unsigned long long bits;                                                                                \
            asm volatile("ld." order ".gpu.b64 %0, [%1];" : "=l"(bits) : "l"(place) : "memory");                    \
            memcpy(&value, &bits, 8);                                                                               \
        } else {                                                                                                    \
            unsigned long long bits[2];                                                                             \
            asm volatile("ld." order ".gpu.v2.b64 {%0, %1}, [%2];"                                                  \
                         : "=l"(bits[0]), "=l"(bits[1])                                                             \
                         : "l"(place)                                                                               \
                         : "memory");                                                                               \
            memcpy(&value, bits, 16);                                                                               \
        }                                                                                                           \
        return value;                                                                                               \
    }
#define GPUSCAN_WORD_STORE(name, order)                                                                             \
    template <class T, class V>                                                                                     \
    __device__ __forceinline__ void name(T* place, V given) {                                                       \
        static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "a word has 4, 8 or 16 bytes");          \
        T value = given;                                                                                            \
        if constexpr (sizeof(T) == 4) {                                                                             \
            unsigned int bits;                                                                                      \
            memcpy(&bits, &value, 4);                                                                               \
            asm volatile("st." order ".gpu.b32 [%0], %1;" ::"l"(place), "r"(bits) : "memory");                      \
        } else if constexpr (sizeof(T) == 8) {                                                                      \
            unsigned long long bits;                                                                                \
            memcpy(&bits, &value, 8);                                                                               \
            asm volatile("st." order ".gpu.b64 [%0], %1;" ::"l"(place), "l"(bits) : "memory");                      \
        } else {                                                                                                    \
            unsigned long long bits[2];                                                                             \
            memcpy(bits, &value, 16);                                                                               \
            asm volatile("st." order ".gpu.v2.b64 [%0], {%1, %2};" ::"l"(place), "l"(bits[0]), "l"(bits[1])         \
                         : "memory");                                                                               \
        }                                                                                                           \
    }
GPUSCAN_WORD_LOAD(gpuscan_load_relaxed, "relaxed")
GPUSCAN_WORD_LOAD(gpuscan_load_acquire, "acquire")
GPUSCAN_WORD_STORE(gpuscan_store_relaxed, "relaxed")
GPUSCAN_WORD_STORE(gpuscan_store_release, "release")
#undef GPUSCAN_WORD_LOAD
#undef GPUSCAN_WORD_STORE

// Adds to a counter, as a releasing store does.
__device__ __forceinline__ void gpuscan_add_release(unsigned int* place, unsigned int value) {
    asm volatile("red.release.gpu.add.u32 [%0], %1;" ::"l"(place), "r"(value) : "memory");
}

// Lets others go on while this thread waits for them.
__device__ __forceinline__ void gpuscan_pause() { __nanosleep(20); }

// Several elements in one instruction, as in gpuscan_load_vector<float4>(x + i); their address is a multiple of the
// vector's size.
template <class V, class T>
__device__ __forceinline__ V gpuscan_load_vector(const T* place) {
    return *reinterpret_cast<const V*>(place);
}
template <class T, class V>
__device__ __forceinline__ void gpuscan_store_vector(T* place, V vector) {
    *reinterpret_cast<V*>(place) = vector;
}
// Tells the compiler of an array's address, or of a number, what was checked before the launch: that it is a multiple of
// so many bytes, or of so many. Neighbouring elements of a thread then become one load or store.
template <int BYTES, class T>
__device__ __forceinline__ void gpuscan_assume_aligned(const T* array) {
    __builtin_assume(reinterpret_cast<unsigned long long>(array) % BYTES == 0);
}
template <int OF>
__device__ __forceinline__ void gpuscan_assume_multiple(long long number) {
    __builtin_assume(number % OF == 0);
}
// Several elements at once from the L2 cache, where what other SMs have written is.
template <class V, class T>
__device__ __forceinline__ V gpuscan_load_vector_from_l2(const T* place) {
    return __ldcg(reinterpret_cast<const V*>(place));
}

#endif
