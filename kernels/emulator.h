// Lets a host C++ compiler build the very text that NVRTC compiles, and checks what a GPU does not say:
//
//     c++ -x c++ -std=c++17 -DGPUSCAN_EMULATOR -include emulator.h ...
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

#undef _FORTIFY_SOURCE  // its longjmp takes a jump to another stack for a mistake and aborts
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

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

struct Fiber {  // at the upper end of its own stack
    jmp_buf context;
    Fiber* next;
    unsigned long long* canary;  // at the lower end
};

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

struct Queue {
    Thread *first = nullptr, *last = nullptr;
    void add(Thread* thread) {
        thread->next = nullptr;
        (first ? last->next : first) = thread;
        last = thread;
    }
    Thread* take() {
        Thread* thread = first;
        if (thread) first = thread->next;
        return thread;
    }
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

using Body = void (*)(void** arguments, const long long* counts);

struct Launch {
    uint3 grid, block;
    unsigned long long shared_bytes;
    bool cooperative;
    Body body;
    void** arguments;
    const long long* counts;
    char* message;
    unsigned long long message_size, message_used;
    bool failed;

    jmp_buf host;  // where an error goes, and the end of all fibers
    struct Region* regions;
    Block* blocks;  // those alive
    int n_blocks, unstarted_block, unstarted_thread;
    Queue ready, polling;
    Fiber *idle, *fiber;  // fibers with no thread to run; the one being entered
    char* stacks;
    int stacks_left;
    unsigned long long alive, quiet;  // threads begun and not ended; pauses since something last changed
};

static thread_local Launch* launch;
static thread_local Thread* self;

#define threadIdx (gpuscan_emulator::self->index)
#define blockIdx (gpuscan_emulator::self->block->index)
#define blockDim (gpuscan_emulator::launch->block)
#define gridDim (gpuscan_emulator::launch->grid)

// ------------------------------------------------------------------------------------------------------------ messages

__attribute__((format(printf, 1, 2), cold, noinline)) static void say(const char* format, ...) {
    Launch& l = *launch;
    if (l.message_used >= l.message_size) return;
    __builtin_va_list values;
    __builtin_va_start(values, format);
    int length = __builtin_vsnprintf(l.message + l.message_used, l.message_size - l.message_used, format, values);
    __builtin_va_end(values);
    if (length > 0) l.message_used += length;
}

static void say_index(const char* what, const uint3& i) { say("%s (%u, %u, %u)", what, i.x, i.y, i.z); }

static void say_where(const Where& where) {
    const char* name = __builtin_strrchr(where.file, '/');
    say("%s:%d", name ? name + 1 : where.file, where.line);
}

static void say_thread(const Thread& thread) {
    say_index("thread", thread.index);
    say_index(" of block", thread.block->index);
}

// Jumps out of the fiber, whose stack is given up as it is: kernels own nothing that wants destroying.
[[noreturn]] static void stop() {
    launch->failed = true;
    _longjmp(launch->host, 1);
}

// Ends the launch; what was said so far is the message.
[[noreturn]] __attribute__((cold, noinline)) static void stop_at(const Where& where) {
    say("; at ");
    say_where(where);
    say(", ");
    say_thread(*self);
    stop();
}

static const char* wait_name(Wait wait) {
    switch (wait) {
        case UNSTARTED: return "not begun";
        case RUNNING: return "run";
        case LEFT: return "left the kernel";
        case PAUSED: return "poll at ";
        case BARRIER: return "wait at the barrier ";
        case SYNCWARP: return "wait at __syncwarp ";
        case SHUFFLE: return "wait at the shuffle ";
        case BALLOT: return "wait at the vote ";
    }
    return "";
}

// "31 wait at the barrier loop.cu:14 (first: thread (0, 0, 0)); 1 left the kernel (first: thread (5, 0, 0))"
static void say_waits(const Block& block) {
    const Thread* groups[8];
    int counts[8], n = 0;
    for (int t = 0; t < block.size; ++t) {
        const Thread& thread = block.threads[t];
        bool placed = thread.wait >= PAUSED;
        int g = 0;
        while (g < n && !(groups[g]->wait == thread.wait && (!placed || groups[g]->where == thread.where))) ++g;
        if (g == 8) continue;
        if (g == n) groups[n++] = &thread, counts[g] = 0;
        ++counts[g];
    }
    for (int g = 0; g < n; ++g) {
        const Thread& first = *groups[g];
        say("%s%d %s", g ? "; " : "", counts[g], wait_name(first.wait));
        if (first.wait >= PAUSED) say_where(first.where);
        if (first.wait >= SYNCWARP) say(" with mask 0x%08x", first.mask);
        say_index(" (first: thread", first.index);
        say(")");
    }
}

[[noreturn]] __attribute__((cold, noinline)) static void stop_divergent(const Block& block) {
    say_index("not every thread of block", block.index);
    say(" reaches the same barrier: of %d threads, ", block.size);
    say_waits(block);
    stop();
}

// No thread can go on, or all that can only poll.
[[noreturn]] __attribute__((cold, noinline)) static void stop_stuck() {
    Launch& l = *launch;
    for (int b = 0; b < l.n_blocks; ++b) {
        const Block& block = l.blocks[b];
        if (block.left == block.size) continue;
        say_index("the kernel is stuck, every thread waits for another: in block", block.index);
        say(" of %d threads, ", block.size);
        say_waits(block);
        if (l.n_blocks == 1 && l.grid.x * l.grid.y * l.grid.z > 1)
            say(". The launch is not cooperative, so later blocks begin only when this one has ended");
        stop();
    }
    stop();
}

// -------------------------------------------------------------------------------------------------------------- fibers

constexpr unsigned long long STACK_BYTES = 256 * 1024, CANARY = 0x5ca1ab1e0ddba11;
constexpr int STACKS_AT_ONCE = 16;

struct Region {  // memory of a launch; what it is used for comes behind
    alignas(64) Region* next;
    unsigned long long bytes;
};

// Zeroed pages, which cost nothing until they are touched.
static void* reserve(unsigned long long bytes) {
    bytes += sizeof(Region);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        say("the emulator cannot reserve %llu bytes of memory for this launch", bytes);
        stop();
    }
#ifdef MADV_NOHUGEPAGE
    madvise(memory, bytes, MADV_NOHUGEPAGE);  // a huge page would make untouched parts of every stack real
#endif
    Region* region = static_cast<Region*>(memory);
    *region = {launch->regions, bytes};
    launch->regions = region;
    return region + 1;
}

static Fiber* make_fiber() {
    Launch& l = *launch;
    if (!l.stacks_left) {
        // Shifted, so that one stack's upper end, which every thread uses, and the next one's canary are on one page:
        // pages are most of what a fiber costs.
        l.stacks = static_cast<char*>(reserve(STACK_BYTES * STACKS_AT_ONCE + 4096)) + 3072;
        l.stacks_left = STACKS_AT_ONCE;
    }
    char* low = l.stacks + --l.stacks_left * STACK_BYTES;
    Fiber* fiber = reinterpret_cast<Fiber*>(low + STACK_BYTES - (sizeof(Fiber) + 63) / 64 * 64);
    fiber->canary = reinterpret_cast<unsigned long long*>(low);
    *fiber->canary = CANARY;
    return fiber;
}

[[noreturn]] static void work();

// Only the first entry goes through ucontext; later ones jump, which takes no system call.
[[noreturn]] static void enter_new(Fiber* fiber) {
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber->canary + 1;
    context.uc_stack.ss_size = reinterpret_cast<char*>(fiber) - reinterpret_cast<char*>(fiber->canary + 1);
    context.uc_link = nullptr;
    makecontext(&context, work, 0);
    launch->fiber = fiber;
    setcontext(&context);
    __builtin_unreachable();
}

static bool any_unstarted() { return launch->unstarted_block < launch->n_blocks; }

static Thread* take_unstarted() {
    Launch& l = *launch;
    Block& block = l.blocks[l.unstarted_block];
    Thread* thread = &block.threads[l.unstarted_thread];
    if (++l.unstarted_thread == block.size) l.unstarted_thread = 0, ++l.unstarted_block;
    return thread;
}

// Goes on with whatever can run: threads whose wait is over, then new ones, then those that poll.
[[noreturn]] static void run_next() {
    Launch& l = *launch;
    Thread* thread = l.ready.take();
    if (!thread && any_unstarted()) {
        Fiber* fiber = l.idle;
        if (!fiber) enter_new(make_fiber());
        l.idle = fiber->next;
        _longjmp(fiber->context, 1);
    }
    if (!thread) thread = l.polling.take();
    if (!thread) _longjmp(l.host, 1);
    self = thread;
    _longjmp(thread->fiber->context, 1);
}

static void check_stack(const Fiber* fiber) {
    if (__builtin_expect(*fiber->canary == CANARY, 1)) return;
    say("the kernel needs a larger stack than the emulator's %llu bytes; ", STACK_BYTES);
    say_thread(*self);
    stop();
}

// Apart from its callers, so that none of their variables lives across the second return of _setjmp.
__attribute__((noinline)) static void suspend(Fiber* fiber) {
    check_stack(fiber);
    if (_setjmp(fiber->context) == 0) run_next();
}

// Something changed that another thread may be polling for.
static void progress() { launch->quiet = 0; }

static void leave();

// What a fiber does: it runs one thread after another, so that threads that never wait share one stack.
[[noreturn]] static void work() {
    Fiber* fiber = launch->fiber;
    for (;;) {
        Thread* thread = self = take_unstarted();
        thread->fiber = fiber;
        thread->wait = RUNNING;
        thread->polled = nullptr;
        ++launch->alive;
        launch->body(launch->arguments, launch->counts);
        check_stack(fiber);
        leave();
        if (!launch->ready.first && any_unstarted()) continue;
        fiber->next = launch->idle;
        launch->idle = fiber;
        suspend(fiber);
    }
}

static void pause(const Where& where) {
    constexpr unsigned long long ROUNDS = 2000;  // of nothing but polling
    Launch& l = *launch;
    self->wait = PAUSED;
    self->where = where;
    if (++l.quiet > ROUNDS * l.alive && !l.ready.first && !any_unstarted()) stop_stuck();
    l.polling.add(self);
    suspend(self->fiber);
    self->wait = RUNNING;
}

// ------------------------------------------------------------------------------------------------------------ barriers

// Waits for the whole block; returns how many of its threads voted.
static int barrier(int vote, const Where& where) {
    Block& block = *self->block;
    if (!block.waiting) block.where = where, block.mixed = false;
    block.mixed |= !(where == block.where);
    block.votes += vote;
    self->wait = BARRIER;
    self->where = where;
    if (++block.waiting + block.left < block.size) {
        suspend(self->fiber);
        return block.tally;
    }
    if (block.mixed || block.left) stop_divergent(block);
    block.waiting = 0;
    block.tally = block.votes;
    block.votes = 0;
    ++block.epoch;
    for (int t = 0; t < block.size; ++t) {
        block.threads[t].wait = RUNNING;
        if (&block.threads[t] != self) launch->ready.add(&block.threads[t]);
    }
    return block.tally;
}

static void hand_over(Thread& thread, Thread* warp, unsigned present) {
    if (!(present >> thread.source & 1)) {
        self = &thread;
        say("a shuffle reads lane %d, which does not take part (mask 0x%08x, lanes present 0x%08x)", thread.source,
            thread.mask, present);
        stop_at(thread.where);
    }
    __builtin_memcpy(thread.received, warp[thread.source].given, WIDEST);
}

// Ends the wait of a warp's lanes if all that `mask` names, and that have not left the kernel, came to it.
static bool settle(Block& block, int first, Wait wait, unsigned mask) {
    Thread* warp = block.threads + first;
    int lanes = block.size - first < warpSize ? block.size - first : warpSize;
    unsigned present = 0, ballot = 0;
    for (int lane = lanes - 1; lane >= 0; --lane) {  // the last comes last, so that most calls end here
        if (!(mask >> lane & 1) || warp[lane].wait == LEFT) continue;
        if (warp[lane].wait != wait || warp[lane].mask != mask) return false;
        present |= 1u << lane;
        ballot |= unsigned(wait == BALLOT && warp[lane].source) << lane;
    }
    if (wait == SYNCWARP) ++block.warp_epochs[first / warpSize];
    for (int lane = 0; lane < lanes; ++lane) {
        Thread& thread = warp[lane];
        if (!(present >> lane & 1)) continue;
        if (wait == SHUFFLE) hand_over(thread, warp, present);
        thread.present = present;
        thread.ballot = ballot;
        thread.wait = RUNNING;
        --block.warp_waiting;
        if (&thread != self) launch->ready.add(&thread);
    }
    return true;
}

static int linear_index(const Thread& thread) { return &thread - thread.block->threads; }
static int lane_index(const Thread& thread) { return linear_index(thread) % warpSize; }

// Waits for the lanes of `mask`.
static void gather(Wait wait, unsigned mask, const Where& where) {
    Block& block = *self->block;
    int lane = lane_index(*self);
    if (!(mask >> lane & 1)) {
        say("lane %d calls a warp operation whose mask 0x%08x does not name it", lane, mask);
        stop_at(where);
    }
    self->wait = wait;
    self->where = where;
    self->mask = mask;
    ++block.warp_waiting;
    if (!settle(block, linear_index(*self) - lane, wait, mask)) suspend(self->fiber);
}

// The thread's end, which others may have been waiting for, or now wait for in vain.
static void leave() {
    Block& block = *self->block;
    self->wait = LEFT;
    --launch->alive;
    progress();
    if (++block.left + block.waiting == block.size && block.waiting) stop_divergent(block);
    if (!block.warp_waiting) return;
    int lane = lane_index(*self), first = linear_index(*self) - lane;
    for (int t = first; t < block.size && t < first + warpSize; ++t) {
        Thread& other = block.threads[t];
        if (other.wait >= SYNCWARP && other.mask >> lane & 1) settle(block, first, other.wait, other.mask);
    }
}

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

[[noreturn]] __attribute__((cold, noinline)) static void stop_out_of_bounds(
    const char* kind, const char* name, long long index, long long shift, long long count, const char* file, int line) {
    say("index %lld is out of bounds of the %s '%s', which has %lld elements", index, kind, name, count);
    if (shift) say(" (index %lld after a shift by %lld)", index - shift, shift);
    stop_at({file, line});
}

[[noreturn]] __attribute__((cold, noinline)) static void stop_misaligned(
    const char* name, long long index, int bytes, const Where& where) {
    say("a vector of %d bytes at index %lld of '%s' does not lie on a multiple of its size", bytes, index, name);
    stop_at(where);
}

[[noreturn]] __attribute__((cold, noinline)) static void stop_not_a_multiple(
    long long number, int of, const Where& where) {
    say("%lld is no multiple of %d, which the kernel relies on", number, of);
    stop_at(where);
}

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

constexpr unsigned long long STATIC_SHARED_BYTES = 48 * 1024;  // CUDA's limit for arrays of fixed size

static unsigned warp_epoch(const Thread& thread) {
    return thread.block->warp_epochs[linear_index(thread) / warpSize];
}

// Whether nothing orders an earlier touch and one that this thread makes now.
static bool races(const Touch& earlier) {
    int me = linear_index(*self);
    return earlier.epoch == self->block->epoch && earlier.thread != me &&
           (earlier.thread / warpSize != me / warpSize || earlier.warp_epoch == warp_epoch(*self));
}

[[noreturn]] __attribute__((cold, noinline)) static void stop_race(
    const char* name, long long index, const char* now, const char* before, const Touch& touch, const Where& where) {
    say("element %lld of the shared array '%s' is %s by one thread and %s by another", index, name, now, before);
    say_index(", thread", self->block->threads[touch.thread].index);
    say(" at line %d, with no barrier between them", touch.line);
    stop_at(where);
}

static Touch touch_now(const Where& where, bool atomic) {
    return {self->block->epoch, warp_epoch(*self), linear_index(*self), where.line, atomic};
}

static void note_read(Touches& touches, const char* name, long long index, const Where& where, bool atomic) {
    if (races(touches.write) && !(atomic && touches.write.atomic))
        stop_race(name, index, "read", "written", touches.write, where);
    if (touches.reads[0].thread != linear_index(*self)) touches.reads[1] = touches.reads[0];
    touches.reads[0] = touch_now(where, atomic);
}

static void note_write(Touches& touches, const char* name, long long index, const Where& where, bool atomic) {
    if (races(touches.write) && !(atomic && touches.write.atomic))
        stop_race(name, index, "written", "written", touches.write, where);
    for (const Touch& read : touches.reads)
        if (races(read) && !(atomic && read.atomic)) stop_race(name, index, "written", "read", read, where);
    touches.write = touch_now(where, atomic);
}

[[noreturn]] __attribute__((cold, noinline)) static void stop_unwritten(
    const char* name, long long index, const Where& where) {
    say("element %lld of the shared array '%s' is read, but no thread of the block has written it", index, name);
    stop_at(where);
}

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

// The same declaration is the same memory for every thread of a block.
template <class T>
Shared<T> static_shared(const void* site, long long count, const char* name, const Where& where) {
    Block& block = *self->block;
    for (int a = 0; a < block.n_arrays; ++a)
        if (block.arrays[a].site == site) return shared_at<T>(block.arrays[a].offset, count, name);
    unsigned long long dynamic = (launch->shared_bytes + 127) / 128 * 128;
    unsigned long long offset = (block.shared_used + 15) / 16 * 16;
    block.shared_used = offset + count * sizeof(T);
    if (block.shared_used - dynamic > STATIC_SHARED_BYTES || block.n_arrays == MAX_SHARED_ARRAYS) {
        say("with '%s' the shared arrays of fixed size need over 48 KiB, more than CUDA gives; take some from the "
            "dynamic shared memory", name);
        stop_at(where);
    }
    block.arrays[block.n_arrays++] = {site, offset};
    return shared_at<T>(offset, count, name);
}

template <class T>
Shared<T> dynamic_shared(unsigned long long offset, long long count, const char* name, const Where& where) {
    unsigned long long bytes = launch->shared_bytes;
    if (count < 0) count = offset < bytes ? (bytes - offset) / sizeof(T) : 0;
    if (offset % alignof(T) || offset + count * sizeof(T) > bytes) {
        say("the shared array '%s' takes %lld elements of %d bytes from byte %llu on; the launch gave %llu bytes, and "
            "it must begin at a multiple of %d", name, count, int(sizeof(T)), offset, bytes, int(alignof(T)));
        stop_at(where);
    }
    return shared_at<T>(offset, count, name);
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

// Kernels order touches of shared memory by such words too; which ones is not looked into.
static void fence() {
    ++self->block->epoch;
    progress();
}

// Whether this thread looked at the same word before and found the same value: it polls.
static bool seen_before(const void* place, const void* value, unsigned long long bytes) {
    bool seen = self->polled == place && !__builtin_memcmp(self->polled_value, value, bytes);
    self->polled = place;
    __builtin_memcpy(self->polled_value, value, bytes);
    return seen;
}

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

static unsigned vote(unsigned mask, bool predicate, const Where& where) {
    self->source = predicate;
    gather(BALLOT, mask, where);
    return self->ballot;
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

constexpr double PI = 3.14159265358979323846, SQRT_HALF = 0.70710678118654752440;
constexpr double TWO_OVER_SQRT_PI = 1.12837916709551257390;

inline double rsqrt(double x) { return 1 / ::sqrt(x); }
inline double rcbrt(double x) { return 1 / ::cbrt(x); }

inline double sinpi(double x) {
    double turn = ::remainder(x, 2.0);  // exact
    if (::fabs(turn) > 0.5) turn = ::copysign(1.0, turn) - turn;
    return turn == 0 ? ::copysign(0.0, x) : ::sin(PI * turn);
}

inline double cospi(double x) {
    double turn = ::fabs(::remainder(x, 2.0));
    return turn <= 0.25 ? ::cos(PI * turn) : ::sin(PI * (0.5 - turn));
}

inline double normcdf(double x) { return 0.5 * ::erfc(-x * SQRT_HALF); }

// exp(x * x) erfc(x)
inline double erfcx(double x) {
    if (x < -27) return __builtin_inf();
    if (x < 26) {
        double square = x * x;
        return ::exp(square) * (1 + ::fma(x, x, -square)) * ::erfc(x);
    }
    double u = 0.5 / (x * x);  // the asymptotic series, whose next term is below rounding
    return 0.5 * TWO_OVER_SQRT_PI / x * (1 - u * (1 - 3 * u * (1 - 5 * u * (1 - 7 * u))));
}

// The root of erfc, by Halley's steps from a rough start.
inline double erfcinv(double y) {
    if (!(y > 0 && y < 2)) return y == 0 ? __builtin_inf() : y == 2 ? -__builtin_inf() : __builtin_nan("");
    double tail = y < 1 ? y : 2 - y, t = ::sqrt(-2 * ::log(tail / 2));
    double x = SQRT_HALF * (t - (2.30753 + 0.27061 * t) / (1 + t * (0.99229 + 0.04481 * t)));
    for (int step = 0; step < 3; ++step) {
        double error = (::erfc(x) - tail) / (TWO_OVER_SQRT_PI * ::exp(-x * x));
        x += error / (1 - x * error);
    }
    return y < 1 ? x : -x;
}

inline double erfinv(double y) {
    if (::fabs(y) > 0.5) return y < 0 ? -erfcinv(1 + y) : erfcinv(1 - y);
    double x = y / TWO_OVER_SQRT_PI;
    for (int step = 0; step < 4; ++step) {
        double error = (::erf(x) - y) / (TWO_OVER_SQRT_PI * ::exp(-x * x));
        x -= error / (1 + x * error);
    }
    return x;
}

inline double normcdfinv(double y) { return -erfcinv(2 * y) / SQRT_HALF; }

// The modified Bessel function of order n, 0 or 1, by its power series (DLMF 10.25.2) and for large x, where the terms
// of the other one shrink below rounding before they grow, by that in 1 / x (10.40.1).
inline double bessel_i(int n, double x) {
    double size = ::fabs(x), sum = 1, term = 1;
    if (size < 20) {
        for (int k = 1; term > 1e-17 * sum; ++k) sum += term *= size * size / (4.0 * k * (k + n));
        return (n ? 0.5 * x : 1) * sum;
    }
    if (size > 720) return n && x < 0 ? -__builtin_inf() : x == x ? __builtin_inf() : x;
    for (int k = 1; ::fabs(term) > 1e-17 * sum; ++k) {
        int odd = 2 * k - 1;
        sum += term *= (odd * odd - 4 * n * n) / (8 * k * size);
    }
    double result = ::exp(0.5 * size) * (sum / ::sqrt(2 * PI * size)) * ::exp(0.5 * size);
    return n && x < 0 ? -result : result;
}

inline double cyl_bessel_i0(double x) { return bessel_i(0, x); }
inline double cyl_bessel_i1(double x) { return bessel_i(1, x); }

}  // namespace gpuscan_emulator

#define GPUSCAN_DEFINED_ABOVE(name)                                                                                    \
    inline double name(double x) { return gpuscan_emulator::name(x); }                                                 \
    inline float name(float x) { return float(gpuscan_emulator::name(double(x))); }                                    \
    inline float name##f(float x) { return float(gpuscan_emulator::name(double(x))); }
GPUSCAN_DEFINED_ABOVE(rsqrt) GPUSCAN_DEFINED_ABOVE(rcbrt) GPUSCAN_DEFINED_ABOVE(sinpi) GPUSCAN_DEFINED_ABOVE(cospi)
GPUSCAN_DEFINED_ABOVE(normcdf) GPUSCAN_DEFINED_ABOVE(erfcx) GPUSCAN_DEFINED_ABOVE(erfcinv)
GPUSCAN_DEFINED_ABOVE(erfinv) GPUSCAN_DEFINED_ABOVE(normcdfinv)
GPUSCAN_DEFINED_ABOVE(cyl_bessel_i0) GPUSCAN_DEFINED_ABOVE(cyl_bessel_i1)
#undef GPUSCAN_DEFINED_ABOVE
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

// ------------------------------------------------------------------------------------------ mistakes in the arithmetic

namespace gpuscan_emulator {

[[noreturn]] __attribute__((cold, noinline)) static void stop_saying(const char* message, const Where& where) {
    say("%s", message);
    stop_at(where);
}

struct SanitizerPlace {
    const char* file;
    unsigned line, column;
    operator Where() const { return {file, int(line)}; }
};

}  // namespace gpuscan_emulator

#define __trap() gpuscan_emulator::stop_saying("the kernel called __trap()", gpuscan_emulator::Where())
#define assert(condition)                                                                                              \
    ((condition) ? void() : gpuscan_emulator::stop_saying("assertion failed: " #condition, gpuscan_emulator::Where()))

// The host's compiler calls these by its -fsanitize=..., where a processor would end the process (integer division) or
// nobody would notice (the others). The record that each is given begins with the place in the text.
extern "C" {
#define GPUSCAN_HANDLER __attribute__((visibility("hidden"), cold, used)) inline void
GPUSCAN_HANDLER __ubsan_handle_divrem_overflow(gpuscan_emulator::SanitizerPlace* at, unsigned long, unsigned long) {
    gpuscan_emulator::stop_saying("an integer is divided by zero, or its quotient is out of range", *at);
}
GPUSCAN_HANDLER __ubsan_handle_shift_out_of_bounds(gpuscan_emulator::SanitizerPlace* at, unsigned long, unsigned long) {
    gpuscan_emulator::stop_saying("an integer is shifted by a negative number or by its number of bits or more", *at);
}
GPUSCAN_HANDLER __ubsan_handle_out_of_bounds(gpuscan_emulator::SanitizerPlace* at, unsigned long index) {
    gpuscan_emulator::say("index %ld is out of bounds of an array of the thread's own", long(index));
    gpuscan_emulator::stop_at(*at);
}
// Integers wrap around, as they do on GPUs: with -fwrapv GCC checks divisions only, Clang checks these as well.
GPUSCAN_HANDLER __ubsan_handle_add_overflow(void*, unsigned long, unsigned long) {}
GPUSCAN_HANDLER __ubsan_handle_sub_overflow(void*, unsigned long, unsigned long) {}
GPUSCAN_HANDLER __ubsan_handle_mul_overflow(void*, unsigned long, unsigned long) {}
GPUSCAN_HANDLER __ubsan_handle_negate_overflow(void*, unsigned long) {}
#undef GPUSCAN_HANDLER
}

// -------------------------------------------------------------------------------------------------------------- launch

namespace gpuscan_emulator {

static unsigned long long volume(const uint3& size) { return (unsigned long long)size.x * size.y * size.z; }

static uint3 unravel(unsigned long long linear, const uint3& size) {
    return {unsigned(linear % size.x), unsigned(linear / size.x % size.y), unsigned(linear / size.x / size.y)};
}

// Makes the blocks that are alive at once.
static void prepare() {
    Launch& l = *launch;
    unsigned long long size = volume(l.block), bytes = (l.shared_bytes + 127) / 128 * 128 + STATIC_SHARED_BYTES + 1024;
    l.n_blocks = l.cooperative ? volume(l.grid) : 1;
    l.blocks = static_cast<Block*>(reserve(sizeof(Block) * l.n_blocks));
    for (int b = 0; b < l.n_blocks; ++b) {
        Block& block = l.blocks[b];
        block.size = size;
        block.threads = static_cast<Thread*>(reserve(sizeof(Thread) * size));
        block.shared = static_cast<unsigned char*>(reserve(bytes * (2 + sizeof(Touches))));
        block.written = block.shared + bytes;
        block.touches = reinterpret_cast<Touches*>(block.written + bytes);
        for (unsigned long long t = 0; t < size; ++t) {
            block.threads[t].block = &block;
            block.threads[t].index = unravel(t, l.block);
        }
    }
}

static void begin(Block& block, unsigned long long linear) {
    block.index = unravel(linear, launch->grid);
    block.left = block.waiting = block.votes = 0;
    ++block.epoch;  // no touch of the block before races with one of this
    __builtin_memset(block.written, 0, block.shared_used);
    block.n_arrays = 0;
    block.shared_used = (launch->shared_bytes + 127) / 128 * 128;
    for (int t = 0; t < block.size; ++t) block.threads[t].wait = UNSTARTED;
}

// Runs `action` until it returns or jumps to the host; returns whether the launch may go on.
__attribute__((noinline)) static bool guard(void (*action)()) {
    if (_setjmp(launch->host) == 0) action();
    return !launch->failed;
}

static bool run_blocks(unsigned long long first) {
    Launch& l = *launch;
    for (int b = 0; b < l.n_blocks; ++b) begin(l.blocks[b], first + b);
    l.unstarted_block = l.unstarted_thread = 0;
    return guard(run_next) && (l.alive == 0 || guard(stop_stuck));
}

// Returns whether all checks held; if not, `message` says which did not.
static bool run(Launch& l) {
    Launch* outer = launch;
    launch = &l;
    bool well = guard(prepare);
    for (unsigned long long first = 0; well && first < volume(l.grid); first += l.n_blocks) well = run_blocks(first);
    while (Region* region = l.regions) {
        l.regions = region->next;
        munmap(region, region->bytes);
    }
    launch = outer;
    return well;
}

}  // namespace gpuscan_emulator

// The one symbol of the library that a kernel becomes: GPUSCAN_LAUNCHER { kernel(...from arguments and counts...); }
#define GPUSCAN_LAUNCHER                                                                                               \
    static void gpuscan_body(void** arguments, const long long* counts);                                               \
    extern "C" __attribute__((visibility("default"))) int gpuscan_launch(                                              \
        const unsigned int* grid, const unsigned int* block, unsigned long long shared_bytes, int cooperative,         \
        void** arguments, const long long* counts, char* message, unsigned long long message_size) {                   \
        gpuscan_emulator::Launch launch = {};                                                                          \
        launch.grid = {grid[0], grid[1], grid[2]};                                                                     \
        launch.block = {block[0], block[1], block[2]};                                                                 \
        launch.shared_bytes = shared_bytes;                                                                            \
        launch.cooperative = cooperative;                                                                              \
        launch.body = gpuscan_body;                                                                                    \
        launch.arguments = arguments;                                                                                  \
        launch.counts = counts;                                                                                        \
        launch.message = message;                                                                                      \
        launch.message_size = message_size;                                                                            \
        return gpuscan_emulator::run(launch);                                                                          \
    }                                                                                                                  \
    static void gpuscan_body(void** arguments, const long long* counts)
