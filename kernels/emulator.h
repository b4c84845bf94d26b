// Lets a host C++ compiler build the very text that NVRTC compiles, and checks what a GPU does not say:
//
//     c++ -x c++ -std=c++17 -DGPUSCAN_EMULATOR -include emulator.h ... emulator.o
//
// Here is what the text of a kernel is compiled against; what need not be compiled for each of them is in emulator.cc.
//
// Arrays know their bounds, shared arrays also know which elements were written and by whom, and a barrier knows which
// threads came to it. The first check that fails ends the launch with a message; the process goes on.
//
// The threads of a block are fibers: one runs until it waits for others, then the next does. All of a launch happens in
// the caller's thread, so several launches may run at once. In an ordinary launch one block runs after another; in a
// cooperative one all blocks are alive, and a thread that polls a word with one of the gpuscan_load_... words, with an
// atomic or with gpuscan_pause() lets the others go on. A loop without end that does none of these is not noticed.
//
// What kernels must keep to, beyond CUDA: arrays are declared with the words of base.cuh; an element of a shared array
// is a stand-in that a template cannot look through, so read it into a variable of its own type (`float x = tile[i];`,
// not `auto`) before calling a template or naming a member; inline PTX stands under #ifndef GPUSCAN_EMULATOR.
#pragma once

// --------------------------------------------------------------------------------------------------- CUDA's qualifiers

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ _Pragma("GCC error \"declare shared memory with GPUSCAN_SHARED or GPUSCAN_DYNAMIC_SHARED\"")

// ------------------------------------------------------------------------------------------------------- vector types

#define GPUSCAN_VECTORS(T, name)                                                                                       \
    struct name##1 { T x; };                                                                                           \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                                 \
    struct name##3 { T x, y, z; };                                                                                     \
    struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; };                                      \
    inline name##1 make_##name##1(T x) { return {x}; }                                                                 \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                         \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                                 \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
GPUSCAN_VECTORS(signed char, char)
GPUSCAN_VECTORS(unsigned char, uchar)
GPUSCAN_VECTORS(short, short)
GPUSCAN_VECTORS(unsigned short, ushort)
GPUSCAN_VECTORS(int, int)
GPUSCAN_VECTORS(unsigned int, uint)
GPUSCAN_VECTORS(long long, longlong)
GPUSCAN_VECTORS(unsigned long long, ulonglong)
GPUSCAN_VECTORS(float, float)
GPUSCAN_VECTORS(double, double)
#undef GPUSCAN_VECTORS

struct dim3 {
    unsigned int x = 1, y = 1, z = 1;
};

constexpr int warpSize = 32;

namespace gpuscan_emulator {

// -------------------------------------------------------------------------------------------------- threads and blocks

// For what stands at every access to an array: GCC then need not think about inlining it, which took half of its time.
#define GPUSCAN_INLINE __attribute__((always_inline))

// A place in the kernel's text. As the default value of a parameter it is the place of the call.
struct Where {
    const char* file;
    int line;
    GPUSCAN_INLINE Where(const char* file = __builtin_FILE(), int line = __builtin_LINE()) : file(file), line(line) {}
    bool operator==(const Where& other) const { return line == other.line && !__builtin_strcmp(file, other.file); }
};

enum Wait : unsigned char { UNSTARTED, RUNNING, LEFT, PAUSED, BARRIER, SYNCWARP, SHUFFLE, BALLOT };

constexpr int WIDEST = 16;  // bytes that one thread hands to another at once, or polls

struct Fiber;

struct Thread {
    uint3 index;
    Wait wait;
    Where where;  // it waits
    struct Block* block;
    Fiber* fiber;
    Thread* next;  // in a queue
    // What it gives to its warp, and what it gets.
    unsigned mask, present, ballot;
    int source;
    alignas(WIDEST) unsigned char given[WIDEST], received[WIDEST];
    // The last word that it polled.
    const void* polled;
    unsigned char polled_value[WIDEST];
};

// When one thread last touched an element of shared memory. Epochs count barriers: two touches in the same epoch of
// the block, and within a warp also in the same one of the warp, have no order.
struct Touch {
    unsigned epoch, warp_epoch;
    int thread, line;
    bool atomic;
};

struct Touches {
    Touch write, reads[2];  // two readers, so that one of them is not the next writer
};

struct SharedArray {
    const void* site;  // its declaration
    unsigned long long offset;
};

constexpr int MAX_SHARED_ARRAYS = 64;

struct Block {
    uint3 index;
    int size;
    Thread* threads;
    int left, waiting, warp_waiting;  // threads that left the kernel, wait at a barrier, wait for their warp
    int votes, tally;                 // of the barrier being gathered for, and of the last one
    Where where;                      // the barrier being gathered for
    bool mixed;                       // some wait at another one
    unsigned epoch, warp_epochs[32];
    unsigned char *shared, *written;
    Touches* touches;
    SharedArray arrays[MAX_SHARED_ARRAYS];
    int n_arrays;
    unsigned long long shared_used;
};

struct Shape {  // of a launch
    uint3 grid, block;
    unsigned long long shared_bytes;
};

// Not thread_local, for which every use would ask first whether it is to be initialised.
extern __thread Thread* self;
extern __thread const Shape* shape;

#define threadIdx (gpuscan_emulator::self->index)
#define blockIdx (gpuscan_emulator::self->block->index)
#define blockDim (gpuscan_emulator::shape->block)
#define gridDim (gpuscan_emulator::shape->grid)

// Lets the others go on, because this thread polls.
void pause(const Where& where);

// Something changed that another thread may be polling for.
void progress();

// Waits for the whole block; returns how many of its threads voted.
int barrier(int vote, const Where& where);

// Waits for the lanes of `mask`.
void gather(Wait wait, unsigned mask, const Where& where);
unsigned vote(unsigned mask, bool predicate, const Where& where);

inline int linear_index(const Thread& thread) { return &thread - thread.block->threads; }
inline int lane_index(const Thread& thread) { return linear_index(thread) % warpSize; }

// Kernels order touches of shared memory by words that they poll, and by fences; which touches is not looked into.
void fence();

// Whether this thread looked at the same word before and found the same value: it polls.
bool seen_before(const void* place, const void* value, unsigned long long bytes);

// Each ends the launch with a message.
#define GPUSCAN_STOP [[noreturn]] __attribute__((cold)) void
GPUSCAN_STOP stop_saying(const char* message, const Where& where);
GPUSCAN_STOP stop_out_of_bounds(
    const char* kind, const char* name, long long index, long long shift, long long count, const char* file, int line);
GPUSCAN_STOP stop_misaligned(const char* name, long long index, int bytes, const Where& where);
GPUSCAN_STOP stop_not_a_multiple(long long number, int of, const Where& where);
GPUSCAN_STOP stop_unwritten(const char* name, long long index, const Where& where);
#undef GPUSCAN_STOP

// -------------------------------------------------------------------------------------------------------------- arrays

template <class T> struct WithoutConst { using Type = T; };
template <class T> struct WithoutConst<const T> { using Type = T; };

// Where in an array and where in the text.
struct Index {
    long long value;
    Where where;
    template <class I>
    GPUSCAN_INLINE Index(I&& index, const char* file = __builtin_FILE(), int line = __builtin_LINE())
        : value(static_cast<long long>(index)), where(file, line) {}
};

// How a word of memory is used.
enum Access { READ, WRITE, READ_WRITE };

}  // namespace gpuscan_emulator

// An array in device memory, a parameter of the kernel.
template <class T>
struct Global {
    using Value = typename gpuscan_emulator::WithoutConst<T>::Type;
    T* data;
    long long shift, count;  // the element that index 0 is, and the number of elements from `data` on
    const char* name;

    Global(T* data, long long count, const char* name) : data(data), shift(0), count(count), name(name) {}
    Global(T* data, long long shift, long long count, const char* name)
        : data(data), shift(shift), count(count), name(name) {}
    operator Global<const T>() const { return {data, shift, count, name}; }
    Global operator+(long long offset) const { return {data, shift + offset, count, name}; }
    Global operator-(long long offset) const { return {data, shift - offset, count, name}; }
    Global& operator+=(long long offset) { return shift += offset, *this; }
    Global& operator-=(long long offset) { return shift -= offset, *this; }

    GPUSCAN_INLINE T& at(long long index, const gpuscan_emulator::Where& where) const {
        using namespace gpuscan_emulator;
        long long place = shift + index;
        if (__builtin_expect(static_cast<unsigned long long>(place) >= static_cast<unsigned long long>(count), 0))
            stop_out_of_bounds("array parameter", name, place, shift, count, where.file, where.line);
        return data[place];
    }
    GPUSCAN_INLINE T& operator[](const gpuscan_emulator::Index& index) const { return at(index.value, index.where); }

    T* word(long long index, gpuscan_emulator::Access, bool, const gpuscan_emulator::Where& where) const {
        return &at(index, where);
    }
};

namespace gpuscan_emulator {

// ------------------------------------------------------------------------------------------------------- shared memory

// Notes that this thread touches an element, whose order among the touches of others must be certain.
void note_read(Touches& touches, const char* name, long long index, const Where& where, bool atomic);
void note_write(Touches& touches, const char* name, long long index, const Where& where, bool atomic);

// Where in the block's shared memory an array of fixed size begins: the same declaration is the same memory for every
// thread.
unsigned long long static_offset(
    const void* site, unsigned long long bytes, const char* name, const Where& where);

// The elements of an array of `count` from a byte of the dynamic shared memory on; -1 asks for all there are.
long long dynamic_count(
    unsigned long long offset, long long count, int bytes, int alignment, const char* name, const Where& where);

template <class T> struct Element;

}  // namespace gpuscan_emulator

// An array that the threads of a block share.
template <class T>
struct Shared {
    using Value = typename gpuscan_emulator::WithoutConst<T>::Type;
    using Where = gpuscan_emulator::Where;
    T* data;
    unsigned char* written;               // for each byte, whether it was
    gpuscan_emulator::Touches* touches;  // for each byte, of elements that begin there
    long long shift, count;
    const char* name;

    operator Shared<const T>() const { return {data, written, touches, shift, count, name}; }
    Shared operator+(long long offset) const { return {data, written, touches, shift + offset, count, name}; }
    Shared operator-(long long offset) const { return *this + -offset; }
    Shared& operator+=(long long offset) { return shift += offset, *this; }
    Shared& operator-=(long long offset) { return shift -= offset, *this; }

    long long checked(long long index, const Where& where) const {
        using namespace gpuscan_emulator;
        long long place = shift + index;
        if (__builtin_expect(static_cast<unsigned long long>(place) >= static_cast<unsigned long long>(count), 0))
            stop_out_of_bounds("shared array", name, place, shift, count, where.file, where.line);
        return place;
    }
    gpuscan_emulator::Element<T> operator[](const gpuscan_emulator::Index& index) const {
        return {*this, checked(index.value, index.where), index.where};
    }

    bool all_written(long long place) const {
        unsigned char all[sizeof(T)];
        __builtin_memset(all, 1, sizeof(T));
        return !__builtin_memcmp(written + place * sizeof(T), all, sizeof(T));
    }
    Value read(long long place, const Where& where, bool atomic = false) const {
        using namespace gpuscan_emulator;
        if (__builtin_expect(!all_written(place), 0)) stop_unwritten(name, place, where);
        note_read(touches[place * sizeof(T)], name, place, where, atomic);
        return data[place];
    }
    void write(long long place, const Value& value, const Where& where, bool atomic = false) const {
        using namespace gpuscan_emulator;
        // Writing what is there already has no order to get wrong.
        if (all_written(place) && !__builtin_memcmp(data + place, &value, sizeof(T))) return;
        note_write(touches[place * sizeof(T)], name, place, where, atomic);
        __builtin_memset(written + place * sizeof(T), 1, sizeof(T));
        data[place] = value;
    }
    T* word(long long index, gpuscan_emulator::Access access, bool atomic, const Where& where) const {
        using namespace gpuscan_emulator;
        long long place = checked(index, where);
        if (access != WRITE) read(place, where, atomic);
        if (access != READ) {
            note_write(touches[place * sizeof(T)], name, place, where, atomic);
            __builtin_memset(written + place * sizeof(T), 1, sizeof(T));
        }
        return data + place;
    }
};

namespace gpuscan_emulator {

// Stands for tile[i], because reading and writing it are checked differently. It works only where it is made: `auto x =
// tile[i]` would read later than CUDA does, so that x is of no use is on purpose.
template <class T>
struct Element {
    using Value = typename Shared<T>::Value;
    Shared<T> array;
    long long place;
    Where where;

    Element(const Shared<T>& array, long long place, const Where& where) : array(array), place(place), where(where) {}
    Element(const Element&) = delete;
    Value get() const { return array.read(place, where); }
    const Value& set(const Value& value) const { return array.write(place, value, where), value; }
    Shared<T> operator&() const&& { return array + (place - array.shift); }
    operator Value() const&& { return get(); }
    Value operator=(const Value& value) const&& { return set(value); }
    Value operator=(Element&& other) const&& { return set(other.get()); }
#define GPUSCAN_ASSIGN(op)                                                                                             \
    template <class V>                                                                                                 \
    Value operator op##=(V&& value) const&& {                                                                          \
        return set(static_cast<Value>(get() op static_cast<V&&>(value)));                                              \
    }
    GPUSCAN_ASSIGN(+) GPUSCAN_ASSIGN(-) GPUSCAN_ASSIGN(*) GPUSCAN_ASSIGN(/) GPUSCAN_ASSIGN(%)
    GPUSCAN_ASSIGN(&) GPUSCAN_ASSIGN(|) GPUSCAN_ASSIGN(^) GPUSCAN_ASSIGN(<<) GPUSCAN_ASSIGN(>>)
#undef GPUSCAN_ASSIGN
    Value operator++() const&& { return set(static_cast<Value>(get() + 1)); }
    Value operator--() const&& { return set(static_cast<Value>(get() - 1)); }
    Value operator++(int) const&& { Value before = get(); set(static_cast<Value>(before + 1)); return before; }
    Value operator--(int) const&& { Value before = get(); set(static_cast<Value>(before - 1)); return before; }
};

template <class T>
Shared<T> shared_at(unsigned long long offset, long long count, const char* name) {
    Block& block = *self->block;
    T* data = reinterpret_cast<T*>(block.shared + offset);
    return {data, block.written + offset, block.touches + offset, 0, count, name};
}

template <class T>
Shared<T> static_shared(const void* site, long long count, const char* name, const Where& where) {
    return shared_at<T>(static_offset(site, count * sizeof(T), name, where), count, name);
}

template <class T>
Shared<T> dynamic_shared(unsigned long long offset, long long count, const char* name, const Where& where) {
    return shared_at<T>(offset, dynamic_count(offset, count, sizeof(T), alignof(T), name, where), name);
}

#define GPUSCAN_SHARED(T, name, count)                                                                                 \
    static char name##_site;                                                                                           \
    const Shared<T> name = gpuscan_emulator::static_shared<T>(&name##_site, count, #name, gpuscan_emulator::Where())
#define GPUSCAN_DYNAMIC_SHARED_AT(T, name, offset, count)                                                              \
    const Shared<T> name = gpuscan_emulator::dynamic_shared<T>(offset, count, #name, gpuscan_emulator::Where())
#define GPUSCAN_DYNAMIC_SHARED(T, name) GPUSCAN_DYNAMIC_SHARED_AT(T, name, 0, -1)

// ----------------------------------------------------------------------------- words that other threads may be reading

template <class T>
T* word(T* place, Access, const Where&) {
    return place;
}
template <class P>
auto word(const P& place, Access access, const Where& where) {
    return place.word(0, access, true, where);
}

template <class P> struct ValueOf { using Type = typename P::Value; };
template <class T> struct ValueOf<T*> { using Type = typename WithoutConst<T>::Type; };
template <class P> using Value = typename ValueOf<P>::Type;

template <class P>
Value<P> poll(const P& place, const Where& where) {
    static_assert(sizeof(Value<P>) <= WIDEST, "too wide to poll");
    const Value<P>* at = word(place, READ, where);
    if (seen_before(at, at, sizeof *at)) pause(where);
    Value<P> value = *at;
    seen_before(at, &value, sizeof value);
    return value;
}

template <class P>
void put(const P& place, const Value<P>& value, const Where& where) {
    *word(place, WRITE, where) = value;
    progress();
}

// An atomic operation; returns what was there before.
template <class P, class Operation>
Value<P> update(const P& place, const Where& where, Access access, Operation after) {
    Value<P>* at = word(place, access, where);
    Value<P> before = *at, now = after(before);
    *at = now;
    if (__builtin_memcmp(&before, &now, sizeof now)) progress();
    else if (seen_before(at, &now, sizeof now)) pause(where);
    return before;
}

template <class T>
T exchange(T value, int source, unsigned mask, const Where& where) {
    static_assert(sizeof(T) <= WIDEST, "too wide to shuffle");
    __builtin_memcpy(self->given, &value, sizeof(T));
    self->source = source;
    gather(SHUFFLE, mask, where);
    __builtin_memcpy(&value, self->received, sizeof(T));
    return value;
}

template <class To, class From>
To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    __builtin_memcpy(&to, &from, sizeof(To));
    return to;
}

}  // namespace gpuscan_emulator

#define GPUSCAN_WHERE gpuscan_emulator::Where where = gpuscan_emulator::Where()

template <class P> gpuscan_emulator::Value<P> gpuscan_load_relaxed(P place, GPUSCAN_WHERE) {
    return gpuscan_emulator::poll(place, where);
}
template <class P> gpuscan_emulator::Value<P> gpuscan_load_acquire(P place, GPUSCAN_WHERE) {
    auto value = gpuscan_emulator::poll(place, where);
    ++gpuscan_emulator::self->block->epoch;
    return value;
}
template <class P> void gpuscan_store_relaxed(P place, gpuscan_emulator::Value<P> value, GPUSCAN_WHERE) {
    gpuscan_emulator::put(place, value, where);
}
template <class P> void gpuscan_store_release(P place, gpuscan_emulator::Value<P> value, GPUSCAN_WHERE) {
    gpuscan_emulator::put(place, value, where);
    gpuscan_emulator::fence();
}
template <class P> void gpuscan_add_release(P place, gpuscan_emulator::Value<P> value, GPUSCAN_WHERE) {
    using T = gpuscan_emulator::Value<P>;
    gpuscan_emulator::update(place, where, gpuscan_emulator::READ_WRITE, [=](T old) { return T(old + value); });
    gpuscan_emulator::fence();
}
inline void gpuscan_pause(GPUSCAN_WHERE) { gpuscan_emulator::pause(where); }
inline void __nanosleep(unsigned, GPUSCAN_WHERE) { gpuscan_emulator::pause(where); }

// A vector of several elements at once.
template <class V, class P>
gpuscan_emulator::Value<P>* gpuscan_vector(const P& place, gpuscan_emulator::Access access, GPUSCAN_WHERE) {
    using namespace gpuscan_emulator;
    constexpr int n = sizeof(V) / sizeof(Value<P>);
    for (int i = 1; i < n; ++i) place.word(i, access, false, where);
    auto first = const_cast<Value<P>*>(place.word(0, access, false, where));
    if (reinterpret_cast<unsigned long long>(first) % sizeof(V))
        stop_misaligned(place.name, place.shift, sizeof(V), where);
    return first;
}
template <class V, class P> V gpuscan_load_vector(P place, GPUSCAN_WHERE) {
    V vector;
    __builtin_memcpy(&vector, gpuscan_vector<V>(place, gpuscan_emulator::READ, where), sizeof(V));
    return vector;
}
template <class V, class P> V gpuscan_load_vector_from_l2(P place, GPUSCAN_WHERE) {
    return gpuscan_load_vector<V>(place, where);
}
template <class P, class V> void gpuscan_store_vector(P place, V vector, GPUSCAN_WHERE) {
    __builtin_memcpy(gpuscan_vector<V>(place, gpuscan_emulator::WRITE, where), &vector, sizeof(V));
}

// What a compiler may rely on.
template <int BYTES, class T> void gpuscan_assume_aligned(const Global<T>& array, GPUSCAN_WHERE) {
    if (array.count && reinterpret_cast<unsigned long long>(array.data + array.shift) % BYTES)
        gpuscan_emulator::stop_misaligned(array.name, array.shift, BYTES, where);
}
template <int OF> void gpuscan_assume_multiple(long long number, GPUSCAN_WHERE) {
    if (number % OF) gpuscan_emulator::stop_not_a_multiple(number, OF, where);
}

// ------------------------------------------------------------------------------------ CUDA's barriers, votes, shuffles

inline void __syncthreads(GPUSCAN_WHERE) { gpuscan_emulator::barrier(0, where); }
inline int __syncthreads_count(int vote, GPUSCAN_WHERE) { return gpuscan_emulator::barrier(vote != 0, where); }
inline int __syncthreads_or(int vote, GPUSCAN_WHERE) { return gpuscan_emulator::barrier(vote != 0, where) != 0; }
inline int __syncthreads_and(int vote, GPUSCAN_WHERE) { return gpuscan_emulator::barrier(vote == 0, where) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffff, GPUSCAN_WHERE) {
    gpuscan_emulator::gather(gpuscan_emulator::SYNCWARP, mask, where);
}
inline void __threadfence() { gpuscan_emulator::fence(); }
inline void __threadfence_block() { gpuscan_emulator::fence(); }
inline void __threadfence_system() { gpuscan_emulator::fence(); }

inline unsigned __ballot_sync(unsigned mask, int predicate, GPUSCAN_WHERE) {
    return gpuscan_emulator::vote(mask, predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate, GPUSCAN_WHERE) {
    return gpuscan_emulator::vote(mask, predicate != 0, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, GPUSCAN_WHERE) {
    return gpuscan_emulator::vote(mask, predicate == 0, where) == 0;
}

// `width` divides the warp into groups; a lane whose source would lie outside its group gets its own value back.
template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, GPUSCAN_WHERE) {
    int group = gpuscan_emulator::lane_index(*gpuscan_emulator::self) & ~(width - 1);
    return gpuscan_emulator::exchange(value, group | (source & (width - 1)), mask, where);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, GPUSCAN_WHERE) {
    int lane = gpuscan_emulator::lane_index(*gpuscan_emulator::self), source = lane - int(delta);
    return gpuscan_emulator::exchange(value, source < (lane & ~(width - 1)) ? lane : source, mask, where);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, GPUSCAN_WHERE) {
    int lane = gpuscan_emulator::lane_index(*gpuscan_emulator::self), source = lane + int(delta);
    return gpuscan_emulator::exchange(value, source > (lane | (width - 1)) ? lane : source, mask, where);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int flip, int width = warpSize, GPUSCAN_WHERE) {
    int lane = gpuscan_emulator::lane_index(*gpuscan_emulator::self), source = lane ^ flip;
    return gpuscan_emulator::exchange(value, source > (lane | (width - 1)) ? lane : source, mask, where);
}

// --------------------------------------------------------------------------------------------------- words of mma.cuh

inline unsigned int gpuscan_tf32(float x) {
    unsigned int all = gpuscan_emulator::bits<unsigned int>(x);
    return x != x ? 0x7fffffffu : (all + 0x1000u) & ~0x1fffu;
}
inline unsigned int gpuscan_bf16_pair(float first, float second) {
    unsigned int pair = 0;
    const float both[2] = {second, first};
    for (float x : both) {
        unsigned int all = gpuscan_emulator::bits<unsigned int>(x);
        pair = pair << 16 | (x != x ? 0x7fffu : (all + 0x7fffu + (all >> 16 & 1)) >> 16);
    }
    return pair;
}

namespace gpuscan_emulator {

struct Words4 { unsigned int at[4]; };
struct Words2 { unsigned int at[2]; };

template <int PER_WORD>
float number_in(unsigned int word, int which) {
    if (PER_WORD == 1) return bits<float>(word & ~0x1fffu);
    return bits<float>(which ? word & 0xffff0000u : word << 16);
}

// Adds the product of a tile of 16 rows and one of 8 columns, whose 8 * PER_WORD terms lie in the lanes as PTX says: of
// rows g and g + 8, and of column g, lane 4 * g + t has the words t and t + 4. A GPU adds the terms in an order, and
// with a care, that nobody has documented; here each sum is rounded to a float.
template <int PER_WORD>
void mma(float (&sums)[4], const unsigned int (&a)[4], const unsigned int (&b)[2], const Where& where) {
    const Words4 own_a = {{a[0], a[1], a[2], a[3]}};
    const Words2 own_b = {{b[0], b[1]}};
    int group = lane_index(*self) / 4, place = lane_index(*self) % 4;
    Words4 rows[4];
    Words2 columns[2][4];
    for (int t = 0; t < 4; ++t) {
        rows[t] = exchange(own_a, 4 * group + t, 0xffffffff, where);
        for (int j = 0; j < 2; ++j) columns[j][t] = exchange(own_b, 4 * (2 * place + j) + t, 0xffffffff, where);
    }
    for (int i = 0; i < 4; ++i)
        for (int word = 0; word < 8; ++word)
            for (int which = 0; which < PER_WORD; ++which)
                sums[i] += number_in<PER_WORD>(rows[word % 4].at[i / 2 + 2 * (word / 4)], which) *
                           number_in<PER_WORD>(columns[i % 2][word % 4].at[word / 4], which);
}

}  // namespace gpuscan_emulator

inline void gpuscan_mma_tf32(float (&sums)[4], const unsigned int (&a)[4], const unsigned int (&b)[2], GPUSCAN_WHERE) {
    gpuscan_emulator::mma<1>(sums, a, b, where);
}
inline void gpuscan_mma_bf16(float (&sums)[4], const unsigned int (&a)[4], const unsigned int (&b)[2], GPUSCAN_WHERE) {
    gpuscan_emulator::mma<2>(sums, a, b, where);
}

// -------------------------------------------------------------------------------------------- atomics and cached loads

#define GPUSCAN_ATOMIC(name, expression)                                                                               \
    template <class P> gpuscan_emulator::Value<P> name(P place, gpuscan_emulator::Value<P> value, GPUSCAN_WHERE) {     \
        using T = gpuscan_emulator::Value<P>;                                                                          \
        return gpuscan_emulator::update(place, where, gpuscan_emulator::READ_WRITE,                                    \
                                        [=](T old) { return T(expression); });                                         \
    }
GPUSCAN_ATOMIC(atomicAdd, old + value)
GPUSCAN_ATOMIC(atomicSub, old - value)
GPUSCAN_ATOMIC(atomicMax, old < value ? value : old)
GPUSCAN_ATOMIC(atomicMin, value < old ? value : old)
GPUSCAN_ATOMIC(atomicAnd, old & value)
GPUSCAN_ATOMIC(atomicOr, old | value)
GPUSCAN_ATOMIC(atomicXor, old ^ value)
GPUSCAN_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
GPUSCAN_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
#undef GPUSCAN_ATOMIC

template <class P> gpuscan_emulator::Value<P> atomicExch(P place, gpuscan_emulator::Value<P> value, GPUSCAN_WHERE) {
    using T = gpuscan_emulator::Value<P>;
    return gpuscan_emulator::update(place, where, gpuscan_emulator::WRITE, [=](T) { return value; });
}
template <class P>
gpuscan_emulator::Value<P> atomicCAS(P place, gpuscan_emulator::Value<P> expected, gpuscan_emulator::Value<P> value,
                                     GPUSCAN_WHERE) {
    using T = gpuscan_emulator::Value<P>;
    return gpuscan_emulator::update(place, where, gpuscan_emulator::READ_WRITE,
                                    [=](T old) { return old == expected ? value : old; });
}

#define GPUSCAN_LOAD(name)                                                                                             \
    template <class P> gpuscan_emulator::Value<P> name(P place, GPUSCAN_WHERE) {                                       \
        return *gpuscan_emulator::word(place, gpuscan_emulator::READ, where);                                          \
    }
GPUSCAN_LOAD(__ldg) GPUSCAN_LOAD(__ldca) GPUSCAN_LOAD(__ldcg) GPUSCAN_LOAD(__ldcs) GPUSCAN_LOAD(__ldlu)
#undef GPUSCAN_LOAD
#define GPUSCAN_STORE(name)                                                                                            \
    template <class P> void name(P place, gpuscan_emulator::Value<P> value, GPUSCAN_WHERE) {                           \
        *gpuscan_emulator::word(place, gpuscan_emulator::WRITE, where) = value;                                        \
    }
GPUSCAN_STORE(__stwb) GPUSCAN_STORE(__stcg) GPUSCAN_STORE(__stcs) GPUSCAN_STORE(__stwt)
#undef GPUSCAN_STORE
#undef GPUSCAN_WHERE

// ---------------------------------------------------------------------------------------------------------- arithmetic

#define GPUSCAN_UNARY(name)                                                                                            \
    extern "C" double name(double);                                                                                    \
    extern "C" float name##f(float);                                                                                   \
    inline float name(float x) { return name##f(x); }
#define GPUSCAN_BINARY(name)                                                                                           \
    extern "C" double name(double, double);                                                                            \
    extern "C" float name##f(float, float);                                                                            \
    inline float name(float x, float y) { return name##f(x, y); }
GPUSCAN_UNARY(sqrt) GPUSCAN_UNARY(cbrt) GPUSCAN_UNARY(fabs)
GPUSCAN_UNARY(exp) GPUSCAN_UNARY(exp2) GPUSCAN_UNARY(exp10) GPUSCAN_UNARY(expm1)
GPUSCAN_UNARY(log) GPUSCAN_UNARY(log2) GPUSCAN_UNARY(log10) GPUSCAN_UNARY(log1p) GPUSCAN_UNARY(logb)
GPUSCAN_UNARY(sin) GPUSCAN_UNARY(cos) GPUSCAN_UNARY(tan) GPUSCAN_UNARY(asin) GPUSCAN_UNARY(acos) GPUSCAN_UNARY(atan)
GPUSCAN_UNARY(sinh) GPUSCAN_UNARY(cosh) GPUSCAN_UNARY(tanh)
GPUSCAN_UNARY(asinh) GPUSCAN_UNARY(acosh) GPUSCAN_UNARY(atanh)
GPUSCAN_UNARY(floor) GPUSCAN_UNARY(ceil) GPUSCAN_UNARY(trunc) GPUSCAN_UNARY(round)
GPUSCAN_UNARY(rint) GPUSCAN_UNARY(nearbyint)
GPUSCAN_UNARY(erf) GPUSCAN_UNARY(erfc) GPUSCAN_UNARY(lgamma) GPUSCAN_UNARY(tgamma)
GPUSCAN_UNARY(j0) GPUSCAN_UNARY(j1) GPUSCAN_UNARY(y0) GPUSCAN_UNARY(y1)
GPUSCAN_BINARY(pow) GPUSCAN_BINARY(atan2) GPUSCAN_BINARY(hypot) GPUSCAN_BINARY(fmod) GPUSCAN_BINARY(remainder)
GPUSCAN_BINARY(fmax) GPUSCAN_BINARY(fmin) GPUSCAN_BINARY(fdim) GPUSCAN_BINARY(copysign) GPUSCAN_BINARY(nextafter)
#undef GPUSCAN_UNARY
#undef GPUSCAN_BINARY

extern "C" double fma(double, double, double);
extern "C" float fmaf(float, float, float);
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
extern "C" double ldexp(double, int);
extern "C" float ldexpf(float, int);
inline float ldexp(float x, int exponent) { return ldexpf(x, exponent); }
extern "C" double scalbn(double, int);
extern "C" float scalbnf(float, int);
inline float scalbn(float x, int exponent) { return scalbnf(x, exponent); }
extern "C" double frexp(double, int*);
extern "C" float frexpf(float, int*);
inline float frexp(float x, int* exponent) { return frexpf(x, exponent); }
extern "C" double modf(double, double*);
extern "C" float modff(float, float*);
inline float modf(float x, float* whole) { return modff(x, whole); }
extern "C" void sincos(double, double*, double*);
extern "C" void sincosf(float, float*, float*);
inline void sincos(float x, float* sine, float* cosine) { sincosf(x, sine, cosine); }
extern "C" int printf(const char*, ...);

inline bool isnan(float x) { return __builtin_isnan(x); }
inline bool isnan(double x) { return __builtin_isnan(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }
inline bool signbit(double x) { return __builtin_signbit(x); }

inline int abs(int x) { return x < 0 ? -x : x; }
inline long abs(long x) { return x < 0 ? -x : x; }
inline long long abs(long long x) { return x < 0 ? -x : x; }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }

// As CUDA's: of floats, the one that is a number.
#define GPUSCAN_MIN_MAX(T)                                                                                             \
    inline T min(T a, T b) { return b < a ? b : a; }                                                                   \
    inline T max(T a, T b) { return a < b ? b : a; }
#define GPUSCAN_MIN_MAX_MIXED(S, T)                                                                                    \
    inline T min(S a, T b) { return min((T)a, b); }                                                                    \
    inline T min(T a, S b) { return min(a, (T)b); }                                                                    \
    inline T max(S a, T b) { return max((T)a, b); }                                                                    \
    inline T max(T a, S b) { return max(a, (T)b); }
GPUSCAN_MIN_MAX(int) GPUSCAN_MIN_MAX(unsigned int) GPUSCAN_MIN_MAX(long) GPUSCAN_MIN_MAX(unsigned long)
GPUSCAN_MIN_MAX(long long) GPUSCAN_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
GPUSCAN_MIN_MAX_MIXED(int, unsigned int) GPUSCAN_MIN_MAX_MIXED(long, unsigned long)
GPUSCAN_MIN_MAX_MIXED(long long, unsigned long long) GPUSCAN_MIN_MAX_MIXED(float, double)
#undef GPUSCAN_MIN_MAX
#undef GPUSCAN_MIN_MAX_MIXED

// What the C library lacks, in double precision; float goes through it.
namespace gpuscan_emulator {

double rsqrt(double x);
double rcbrt(double x);
double sinpi(double x);
double cospi(double x);
double normcdf(double x);
double erfcx(double x);
double erfcinv(double y);
double erfinv(double y);
double normcdfinv(double y);
double cyl_bessel_i0(double x);
double cyl_bessel_i1(double x);

}  // namespace gpuscan_emulator

#define GPUSCAN_IN_DOUBLE(name)                                                                                        \
    inline double name(double x) { return gpuscan_emulator::name(x); }                                                 \
    inline float name(float x) { return float(gpuscan_emulator::name(double(x))); }                                    \
    inline float name##f(float x) { return float(gpuscan_emulator::name(double(x))); }
GPUSCAN_IN_DOUBLE(rsqrt) GPUSCAN_IN_DOUBLE(rcbrt) GPUSCAN_IN_DOUBLE(sinpi) GPUSCAN_IN_DOUBLE(cospi)
GPUSCAN_IN_DOUBLE(normcdf) GPUSCAN_IN_DOUBLE(erfcx) GPUSCAN_IN_DOUBLE(erfcinv)
GPUSCAN_IN_DOUBLE(erfinv) GPUSCAN_IN_DOUBLE(normcdfinv)
GPUSCAN_IN_DOUBLE(cyl_bessel_i0) GPUSCAN_IN_DOUBLE(cyl_bessel_i1)
#undef GPUSCAN_IN_DOUBLE
inline void sincospi(double x, double* sine, double* cosine) { *sine = sinpi(x), *cosine = cospi(x); }
inline void sincospi(float x, float* sine, float* cosine) { *sine = sinpi(x), *cosine = cospi(x); }

// CUDA's fast forms are of the same meaning and less exact; here they are exact.
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }

inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dsub_rn(double x, double y) { return x - y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline double __drcp_rn(double x) { return 1 / x; }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }

inline int __float_as_int(float x) { return gpuscan_emulator::bits<int>(x); }
inline unsigned int __float_as_uint(float x) { return gpuscan_emulator::bits<unsigned int>(x); }
inline float __int_as_float(int x) { return gpuscan_emulator::bits<float>(x); }
inline float __uint_as_float(unsigned int x) { return gpuscan_emulator::bits<float>(x); }
inline long long __double_as_longlong(double x) { return gpuscan_emulator::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return gpuscan_emulator::bits<double>(x); }
inline double __hiloint2double(int high, int low) {
    return __longlong_as_double((unsigned long long)(unsigned int)high << 32 | (unsigned int)low);
}
inline int __double2hiint(double x) { return int(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return int(__double_as_longlong(x)); }
inline int __float2int_rn(float x) { return int(rintf(x)); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __double2int_rn(double x) { return int(rint(x)); }
inline long long __double2ll_rn(double x) { return (long long)rint(x); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned int x) { return float(x); }
inline float __double2float_rn(double x) { return float(x); }

inline unsigned int __umulhi(unsigned int a, unsigned int b) { return (unsigned long long)a * b >> 32; }
inline int __mulhi(int a, int b) { return int((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
inline int __popc(unsigned int x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned int __brev(unsigned int x) {
    unsigned int reversed = 0;
    for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1) << (31 - bit);
    return reversed;
}
inline unsigned int __funnelshift_l(unsigned int low, unsigned int high, unsigned int shift) {
    return (((unsigned long long)high << 32 | low) << (shift & 31)) >> 32;
}
inline unsigned int __funnelshift_r(unsigned int low, unsigned int high, unsigned int shift) {
    return ((unsigned long long)high << 32 | low) >> (shift & 31);
}

#define __trap() gpuscan_emulator::stop_saying("the kernel called __trap()", gpuscan_emulator::Where())
#define assert(condition)                                                                                              \
    ((condition) ? void() : gpuscan_emulator::stop_saying("assertion failed: " #condition, gpuscan_emulator::Where()))

// What emulator.cc calls for every thread: GPUSCAN_BODY { kernel(...from arguments and counts...); }
#define GPUSCAN_BODY extern "C" void gpuscan_body(void** arguments, const long long* counts)
