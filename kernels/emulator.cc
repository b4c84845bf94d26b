// The part of the emulator that is the same for every kernel: see emulator.h. It is compiled once, and the library that
// a kernel becomes is linked with it.

#include "emulator.h"

#undef _FORTIFY_SOURCE  // its longjmp takes a jump to another stack for a mistake and aborts
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

GPUSCAN_BODY;  // the kernel's

namespace gpuscan_emulator {

struct Fiber {  // at the upper end of its own stack
    jmp_buf context;
    Fiber* next;
    unsigned long long* canary;  // at the lower end
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

struct Launch {
    Shape shape;
    bool cooperative;
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

static __thread Launch* launch;
__thread Thread* self;
__thread const Shape* shape;

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
        if (l.n_blocks == 1 && l.shape.grid.x * l.shape.grid.y * l.shape.grid.z > 1)
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

void progress() { launch->quiet = 0; }

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
        gpuscan_body(launch->arguments, launch->counts);
        check_stack(fiber);
        leave();
        if (!launch->ready.first && any_unstarted()) continue;
        fiber->next = launch->idle;
        launch->idle = fiber;
        suspend(fiber);
    }
}

void pause(const Where& where) {
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

int barrier(int vote, const Where& where) {
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

void gather(Wait wait, unsigned mask, const Where& where) {
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

unsigned vote(unsigned mask, bool predicate, const Where& where) {
    self->source = predicate;
    gather(BALLOT, mask, where);
    return self->ballot;
}

// ----------------------------------------------------------------------------------------------- words that are polled

void fence() {
    ++self->block->epoch;
    progress();
}

bool seen_before(const void* place, const void* value, unsigned long long bytes) {
    bool seen = self->polled == place && !__builtin_memcmp(self->polled_value, value, bytes);
    self->polled = place;
    __builtin_memcpy(self->polled_value, value, bytes);
    return seen;
}

// -------------------------------------------------------------------------------------------------------------- arrays

void stop_out_of_bounds(
    const char* kind, const char* name, long long index, long long shift, long long count, const char* file, int line) {
    say("index %lld is out of bounds of the %s '%s', which has %lld elements", index, kind, name, count);
    if (shift) say(" (index %lld after a shift by %lld)", index - shift, shift);
    stop_at({file, line});
}

void stop_misaligned(
    const char* name, long long index, int bytes, const Where& where) {
    say("a vector of %d bytes at index %lld of '%s' does not lie on a multiple of its size", bytes, index, name);
    stop_at(where);
}

void stop_not_a_multiple(long long number, int of, const Where& where) {
    say("%lld is no multiple of %d, which the kernel relies on", number, of);
    stop_at(where);
}

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

void note_read(Touches& touches, const char* name, long long index, const Where& where, bool atomic) {
    if (races(touches.write) && !(atomic && touches.write.atomic))
        stop_race(name, index, "read", "written", touches.write, where);
    if (touches.reads[0].thread != linear_index(*self)) touches.reads[1] = touches.reads[0];
    touches.reads[0] = touch_now(where, atomic);
}

void note_write(Touches& touches, const char* name, long long index, const Where& where, bool atomic) {
    if (races(touches.write) && !(atomic && touches.write.atomic))
        stop_race(name, index, "written", "written", touches.write, where);
    for (const Touch& read : touches.reads)
        if (races(read) && !(atomic && read.atomic)) stop_race(name, index, "written", "read", read, where);
    touches.write = touch_now(where, atomic);
}

void stop_unwritten(
    const char* name, long long index, const Where& where) {
    say("element %lld of the shared array '%s' is read, but no thread of the block has written it", index, name);
    stop_at(where);
}

unsigned long long static_offset(
    const void* site, unsigned long long bytes, const char* name, const Where& where) {
    Block& block = *self->block;
    for (int a = 0; a < block.n_arrays; ++a)
        if (block.arrays[a].site == site) return block.arrays[a].offset;
    unsigned long long dynamic = (shape->shared_bytes + 127) / 128 * 128;
    unsigned long long offset = (block.shared_used + 15) / 16 * 16;
    block.shared_used = offset + bytes;
    if (block.shared_used - dynamic > STATIC_SHARED_BYTES || block.n_arrays == MAX_SHARED_ARRAYS) {
        say("with '%s' the shared arrays of fixed size need over 48 KiB, more than CUDA gives; take some from the "
            "dynamic shared memory", name);
        stop_at(where);
    }
    block.arrays[block.n_arrays++] = {site, offset};
    return offset;
}

long long dynamic_count(
    unsigned long long offset, long long count, int bytes, int alignment, const char* name, const Where& where) {
    unsigned long long given = shape->shared_bytes;
    if (count < 0) count = offset < given ? (given - offset) / bytes : 0;
    if (offset % alignment || offset + count * bytes > given) {
        say("the shared array '%s' takes %lld elements of %d bytes from byte %llu on; the launch gave %llu bytes, and "
            "it must begin at a multiple of %d", name, count, bytes, offset, given, alignment);
        stop_at(where);
    }
    return count;
}

// -------------------------------------------------------------------------------------------- what the C library lacks

constexpr double PI = 3.14159265358979323846, SQRT_HALF = 0.70710678118654752440;
constexpr double TWO_OVER_SQRT_PI = 1.12837916709551257390;

double rsqrt(double x) { return 1 / ::sqrt(x); }
double rcbrt(double x) { return 1 / ::cbrt(x); }

double sinpi(double x) {
    double turn = ::remainder(x, 2.0);  // exact
    if (::fabs(turn) > 0.5) turn = ::copysign(1.0, turn) - turn;
    return turn == 0 ? ::copysign(0.0, x) : ::sin(PI * turn);
}

double cospi(double x) {
    double turn = ::fabs(::remainder(x, 2.0));
    return turn <= 0.25 ? ::cos(PI * turn) : ::sin(PI * (0.5 - turn));
}

double normcdf(double x) { return 0.5 * ::erfc(-x * SQRT_HALF); }

// exp(x * x) erfc(x)
double erfcx(double x) {
    if (x < -27) return __builtin_inf();
    if (x < 26) {
        double square = x * x;
        return ::exp(square) * (1 + ::fma(x, x, -square)) * ::erfc(x);
    }
    double u = 0.5 / (x * x);  // the asymptotic series, whose next term is below rounding
    return 0.5 * TWO_OVER_SQRT_PI / x * (1 - u * (1 - 3 * u * (1 - 5 * u * (1 - 7 * u))));
}

// The root of erfc, by Halley's steps from a rough start.
double erfcinv(double y) {
    if (!(y > 0 && y < 2)) return y == 0 ? __builtin_inf() : y == 2 ? -__builtin_inf() : __builtin_nan("");
    double tail = y < 1 ? y : 2 - y, t = ::sqrt(-2 * ::log(tail / 2));
    double x = SQRT_HALF * (t - (2.30753 + 0.27061 * t) / (1 + t * (0.99229 + 0.04481 * t)));
    for (int step = 0; step < 3; ++step) {
        double error = (::erfc(x) - tail) / (TWO_OVER_SQRT_PI * ::exp(-x * x));
        x += error / (1 - x * error);
    }
    return y < 1 ? x : -x;
}

double erfinv(double y) {
    if (::fabs(y) > 0.5) return y < 0 ? -erfcinv(1 + y) : erfcinv(1 - y);
    double x = y / TWO_OVER_SQRT_PI;
    for (int step = 0; step < 4; ++step) {
        double error = (::erf(x) - y) / (TWO_OVER_SQRT_PI * ::exp(-x * x));
        x -= error / (1 + x * error);
    }
    return x;
}

double normcdfinv(double y) { return -erfcinv(2 * y) / SQRT_HALF; }

// The modified Bessel function of order n, 0 or 1, by its power series (DLMF 10.25.2) and for large x, where the terms
// of the other one shrink below rounding before they grow, by that in 1 / x (10.40.1).
static double bessel_i(int n, double x) {
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

double cyl_bessel_i0(double x) { return bessel_i(0, x); }
double cyl_bessel_i1(double x) { return bessel_i(1, x); }

// ------------------------------------------------------------------------------------------ mistakes in the arithmetic

void stop_saying(const char* message, const Where& where) {
    say("%s", message);
    stop_at(where);
}

struct SanitizerPlace {
    const char* file;
    unsigned line, column;
    operator Where() const { return {file, int(line)}; }
};

}  // namespace gpuscan_emulator

// The host's compiler calls these by its -fsanitize=..., where a processor would end the process (integer division) or
// nobody would notice (the others). The record that each is given begins with the place in the text.
extern "C" {
#define GPUSCAN_HANDLER __attribute__((cold)) void
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
    unsigned long long size = volume(l.shape.block);
    unsigned long long bytes = (l.shape.shared_bytes + 127) / 128 * 128 + STATIC_SHARED_BYTES + 1024;
    l.n_blocks = l.cooperative ? volume(l.shape.grid) : 1;
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
            block.threads[t].index = unravel(t, l.shape.block);
        }
    }
}

static void begin(Block& block, unsigned long long linear) {
    block.index = unravel(linear, launch->shape.grid);
    block.left = block.waiting = block.votes = 0;
    ++block.epoch;  // no touch of the block before races with one of this
    __builtin_memset(block.written, 0, block.shared_used);
    block.n_arrays = 0;
    block.shared_used = (launch->shape.shared_bytes + 127) / 128 * 128;
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

static bool run(Launch& l) {
    Launch* outer = launch;
    launch = &l;
    shape = &l.shape;
    bool well = guard(prepare);
    unsigned long long blocks = volume(l.shape.grid);
    for (unsigned long long first = 0; well && first < blocks; first += l.n_blocks) well = run_blocks(first);
    while (Region* region = l.regions) {
        l.regions = region->next;
        munmap(region, region->bytes);
    }
    launch = outer;
    shape = outer ? &outer->shape : nullptr;
    return well;
}

}  // namespace gpuscan_emulator

// The one symbol of the library that a kernel becomes. Returns whether all checks held; if not, `message` says which
// did not.
extern "C" __attribute__((visibility("default"))) int gpuscan_launch(
    const unsigned int* grid, const unsigned int* block, unsigned long long shared_bytes, int cooperative,
    void** arguments, const long long* counts, char* message, unsigned long long message_size) {
    gpuscan_emulator::Launch launch = {};
    launch.shape = {{grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared_bytes};
    launch.cooperative = cooperative;
    launch.arguments = arguments;
    launch.counts = counts;
    launch.message = message;
    launch.message_size = message_size;
    return gpuscan_emulator::run(launch);
}
