// Several threads along time carry each lane, where lanes are too few to fill a GPU: for states whose steps can be
// composed before the state is known.
//
// Time is cut into tiles of THREADS / LANES * STEPS steps of LANES lanes; a block takes the next tile by a counter, so
// that whoever waits for an earlier tile waits for one that some block has begun, and no cooperative launch is needed.
// Of a tile every thread composes STEPS steps of one lane, the block composes those, and the state that enters the tile
// is found by looking back (Merrill and Garland, "Single-pass parallel prefix scan with decoupled look-back", 2016):
// each tile publishes the composition of its steps as soon as it has it, and the state that leaves it as soon as it
// knows the one that enters it. With the state before its own steps each thread then runs the step as it is. Thus
// inputs are read and results written once, as in a serial loop.
//
// A state moves over a tile that another block has composed exactly as that block moves it, whatever has been published
// when it looks: a run repeats to the last bit.
//
// Composing can go wrong where the serial loop does not: factors overflow where the state is 0, and where they grow,
// digits of a state that stays small are lost. A tile whose compositions are not safe(), or that a state enters that its
// composition does not take (infinity times a factor that has become 0), goes step by step, one thread after the
// other: no slower than one thread would be, and exactly what the serial loop does.
//
// The generated struct Step supplies, for the lane it was begun with:
//   struct Row, State, Kept             what a step reads of the sequences, carries, and has to be written
//   Stages                              Stages<Maps<Part<&State::x, Affine<float>>, ...>, ...>: maps that need no state
//                                       but those of earlier stages
//   words                               the words that all maps and states take together
//   void begin(long long lane)          loads what does not change
//   State initial()                     loads the initial state
//   void read(long long t, Row&)        loads the rows of step t
//   void put(int slot, Row), get(...)   move rows, and what is kept, to and from shared memory
//   void compose(Row, State&, Maps&)    makes the maps of one stage for one step, and moves states of earlier stages on
//   void advance(Row, State&, Kept&)    computes a step
//   void write(long long t, Kept)       writes what is kept of step t
//   void finish(State)                  writes the final values
#pragma once
#include "prefix_maps.cuh"

namespace gs {

// ---- one block's work on a tile

template <class Step, int THREADS, int STEPS, int LANES>
struct PrefixTile {
    using Row = typename Step::Row;
    using State = typename Step::State;
    using Kept = typename Step::Kept;
    using Word = unsigned long long;

    // What a tile has published.
    static constexpr unsigned int NOTHING = 0, MAPS = 1, STATE = 2;
    static constexpr int WARPS = THREADS / 32;
    static constexpr int ALONG = THREADS / LANES;  // threads along time
    static constexpr int SPAN = ALONG * STEPS;     // steps of a tile
    static constexpr int TILES_AT_ONCE = 32 / LANES;
    // Rows of a thread that are under way at once: 32 bytes of them. With 1024 threads on an SM that covers the wait for
    // device memory, 600 ns at 40 bytes a nanosecond; more would take the registers of what a thread holds beside them.
    static constexpr int IN_FLIGHT = sizeof(Row) <= 4 ? 8 : sizeof(Row) <= 8 ? 4 : sizeof(Row) <= 16 ? 2 : 1;
    static constexpr unsigned int ALL = 0xffffffffu;

    Step& step;
    long long length;
    int groups, chunk, group;
    Global<unsigned int> progress;
    Global<Word> published;
    Shared<Word> totals, relay;
    Shared<unsigned int> taken;
    bool lane_exists;
    int lane, along, in_warp, warp;
    int steps;       // of this thread
    State entering;  // before this thread's first step, for the stages that are solved

    __device__ __forceinline__ int slot(int in_tile) const { return in_tile * LANES + lane; }
    __device__ __forceinline__ long long begin() const { return chunk * (long long)SPAN; }

    // Neighbouring threads load neighbouring elements, and take their own steps out of shared memory.
    __device__ __forceinline__ void load() {
        // A thread without a step there reads the last one, so that no load is behind a branch.
#pragma unroll 1
        for (int from = 0; from < STEPS; from += IN_FLIGHT) {
            Row rows[IN_FLIGHT];
#pragma unroll
            for (int i = 0; i < IN_FLIGHT; ++i) {
                long long const t = begin() + ((from + i) * ALONG + along);
                if (from + i < STEPS) step.read(t < length ? t : length - 1, rows[i]);
            }
#pragma unroll
            for (int i = 0; i < IN_FLIGHT; ++i) {
                if (from + i < STEPS) step.put(slot((from + i) * ALONG + along), rows[i]);
            }
        }
        __syncthreads();
    }

    __device__ __forceinline__ void write() {
        __syncthreads();
        if (!lane_exists) return;
#pragma unroll 5
        for (int i = 0; i < STEPS; ++i) {
            int const in_tile = i * ALONG + along;
            long long const t = begin() + in_tile;
            if (t >= length) return;
            Kept kept;
            step.get(slot(in_tile), kept);
            step.write(t, kept);
        }
    }

    // With the state before them known, the steps of this thread as they are.
    template <bool KEEP>
    __device__ __forceinline__ void run(State& state) {
#pragma unroll 2
        for (int i = 0; i < steps; ++i) {
            int const at = slot(along * STEPS + i);
            Row row;
            Kept kept;
            step.get(at, row);
            step.advance(row, state, kept);
            if constexpr (KEEP) step.put(at, kept);
        }
    }

    // ---- one stage

    template <class Maps>
    __device__ __forceinline__ void solve(int stage, int at) {
        Maps const mine = composed<Maps>();
        bool any;
        Maps before = before_mine(mine, any);
        Maps const through = any ? before.then(mine) : mine;
        bool const plain = __syncthreads_and(steps == 0 || through.safe());
        if (warp == WARPS - 1) {
            Maps const total = through.from_thread(32 - LANES + lane);
            Word states[Maps::state_words];
            Maps::pack_state(entering, states);
            if (chunk > 0) {
                if (plain) publish_maps(total, stage, at);
                look_back<Maps>(states, stage, at);
            }
            bool const takes = plain && __all_sync(ALL, !lane_exists || total.takes(states));
            if (in_warp < LANES) pass<Maps>(states);
            if (in_warp == 0) taken[0] = takes;
            if (takes) {
                total.apply(states);
                publish_states<Maps>(states, stage, at);
            }
        }
        __syncthreads();
        unsigned int const in_parallel = taken[0];
        Word states[Maps::state_words];
        if (in_parallel) {
            receive<Maps>(states);
            if (any) before.apply(states);
            Maps::unpack_state(entering, states);
            return;
        }
        for (int turn = 0; turn < ALONG; ++turn) {
            if (turn == along) {
                receive<Maps>(states);
                Maps::unpack_state(entering, states);
                State state = entering;
                run<false>(state);
                Maps::pack_state(state, states);
                pass<Maps>(states);
            }
            __syncthreads();
        }
        if (warp == WARPS - 1) {
            receive<Maps>(states);
            publish_states<Maps>(states, stage, at);
        }
    }

    // This thread's steps as one map.
    template <class Maps>
    __device__ __forceinline__ Maps composed() {
        Maps all{};
        State state = entering;
#pragma unroll 2
        for (int i = 0; i < steps; ++i) {
            Row row;
            step.get(slot(along * STEPS + i), row);
            Maps now;
            step.compose(row, state, now);
            all = i ? all.then(now) : now;
        }
        return all;
    }

    // The steps of the tile before this thread's, as one map; `any` says whether there are some.
    template <class Maps>
    __device__ __forceinline__ Maps before_mine(Maps const& mine, bool& any) {
        Maps inclusive = mine;
        for (int distance = LANES; distance < 32; distance *= 2) {
            Maps const earlier = inclusive.from_thread((in_warp - distance) & 31);
            if (in_warp >= distance) inclusive = earlier.then(inclusive);
        }
        Word words[Maps::map_words];
        if (in_warp >= 32 - LANES) {
            inclusive.pack(words);
            for (int i = 0; i < Maps::map_words; ++i) totals[(warp * Maps::map_words + i) * LANES + lane] = words[i];
        }
        __syncthreads();
        Maps before{};
        any = false;
        for (int earlier = 0; earlier < warp; ++earlier) {
            for (int i = 0; i < Maps::map_words; ++i) {
                words[i] = totals[(earlier * Maps::map_words + i) * LANES + lane];
            }
            Maps theirs;
            theirs.unpack(words);
            before = any ? before.then(theirs) : theirs;
            any = true;
        }
        Maps const in_my_warp = inclusive.from_thread((in_warp - LANES) & 31);
        if (in_warp >= LANES) {
            before = any ? before.then(in_my_warp) : in_my_warp;
            any = true;
        }
        return before;
    }

    // ---- from thread to thread of one lane

    template <class Maps>
    __device__ __forceinline__ void pass(Word const* states) {
        for (int i = 0; i < Maps::state_words; ++i) relay[i * LANES + lane] = states[i];
    }
    template <class Maps>
    __device__ __forceinline__ void receive(Word* states) {
        for (int i = 0; i < Maps::state_words; ++i) states[i] = relay[i * LANES + lane];
    }

    // ---- from tile to tile: one warp of a block, all its threads together

    __device__ __forceinline__ Global<unsigned int> flag(int which, int stage) {
        return progress + (1 + (which * (long long)groups + group) * Step::Stages::count + stage);
    }
    __device__ __forceinline__ long long place(int which, int word) {
        return ((which * (long long)groups + group) * Step::words + word) * LANES + lane;
    }
    template <class Maps>
    __device__ __forceinline__ void publish_maps(Maps const& total, int stage, int at) {
        Word words[Maps::map_words];
        total.pack(words);
        if (in_warp < LANES) {
            for (int i = 0; i < Maps::map_words; ++i) gpuscan_store_relaxed(published + place(chunk, at + i), words[i]);
        }
        __syncwarp();
        if (in_warp == 0) gpuscan_store_release(flag(chunk, stage), MAPS);
    }
    template <class Maps>
    __device__ __forceinline__ void publish_states(Word const* states, int stage, int at) {
        if (in_warp < LANES) {
            for (int i = 0; i < Maps::state_words; ++i) {
                gpuscan_store_relaxed(published + place(chunk, at + Maps::map_words + i), states[i]);
            }
        }
        __syncwarp();
        if (in_warp == 0) gpuscan_store_release(flag(chunk, stage), STATE);
    }
    template <class Maps>
    __device__ __forceinline__ void load_states(int which, Word* states, int at) {
        for (int i = 0; i < Maps::state_words; ++i) {
            states[i] = gpuscan_load_relaxed(published + place(which, at + Maps::map_words + i));
        }
    }
    template <class Maps>
    __device__ __forceinline__ Maps load_maps(int which, int at) {
        Word words[Maps::map_words];
        for (int i = 0; i < Maps::map_words; ++i) words[i] = gpuscan_load_relaxed(published + place(which, at + i));
        Maps maps;
        maps.unpack(words);
        return maps;
    }

    // The states that enter this tile.
    template <class Maps>
    __device__ __forceinline__ void look_back(Word* states, int stage, int at) {
        // Loads take as long as some hundred clocks of moving states on, so several are under way for each thread.
        constexpr int LOADS = Maps::map_words <= 2 ? 4 : Maps::map_words <= 4 ? 2 : 1;
        constexpr int WINDOW = LOADS * TILES_AT_ONCE;
        int const from = last_known(stage);
        load_states<Maps>(from, states, at);
        for (int which = from + 1; which < chunk; which += WINDOW) {
            int const count = chunk - which < WINDOW ? chunk - which : WINDOW;
            Maps loaded[LOADS];
#pragma unroll
            for (int load = 0; load < LOADS; ++load) {
                int const mine = load * TILES_AT_ONCE + in_warp / LANES;
                if (mine < count) loaded[load] = load_maps<Maps>(which + mine, at);
            }
            bool takes = true;
#pragma unroll
            for (int load = 0; load < LOADS; ++load) {
#pragma unroll 4
                for (int i = 0; i < TILES_AT_ONCE; ++i) {
                    if (load * TILES_AT_ONCE + i >= count) break;
                    Maps const theirs = loaded[load].from_thread(i * LANES + lane);
                    takes = takes && theirs.takes(states);
                    theirs.apply(states);
                }
            }
            if (!__all_sync(ALL, !lane_exists || takes)) {  // a tile of these goes step by step
                while (gpuscan_load_acquire(flag(which + count - 1, stage)) != STATE) gpuscan_pause();
                load_states<Maps>(which + count - 1, states, at);
            }
        }
    }

    // The last tile whose leaving state is published, once all after it have published their maps.
    __device__ __forceinline__ int last_known(int stage) {
        for (int last = chunk - 1;;) {
            int const which = last - in_warp;
            unsigned int const found = which >= 0 ? gpuscan_load_acquire(flag(which, stage)) : NOTHING;
            unsigned int const ends = __ballot_sync(ALL, found == STATE), there = __ballot_sync(ALL, found != NOTHING);
            int const nearest = ends ? __ffs(int(ends)) - 1 : 32;
            unsigned int const nearer = ends ? (1u << nearest) - 1 : ALL;
            if ((there & nearer) != nearer) gpuscan_pause();
            else if (!ends) last -= 32;
            else {
                __syncwarp();  // what one thread has seen published is so for all
                return last - nearest;
            }
        }
    }

    template <class... AllMaps>
    __device__ __forceinline__ void solve_all(Stages<AllMaps...>) {
        int stage = 0, at = 0;
        ((solve<AllMaps>(stage, at), ++stage, at += AllMaps::map_words + AllMaps::state_words), ...);
    }
};

// ---- the whole loop

// `progress` is zero at first: the counter of tiles begun, then what each stage of each tile has published.
template <int THREADS, int STEPS, int LANES, class Step>
__device__ __forceinline__ void prefix_loop(Step& step, long long lanes, long long length,
                                            Global<unsigned int> progress, Global<unsigned long long> published) {
    using Tile = PrefixTile<Step, THREADS, STEPS, LANES>;
    using Stages = typename Step::Stages;
    GPUSCAN_SHARED(unsigned long long, totals, Tile::WARPS * Stages::most_map_words * LANES);
    GPUSCAN_SHARED(unsigned long long, relay, Stages::most_state_words * LANES);
    GPUSCAN_SHARED(unsigned int, taken, 1);
    GPUSCAN_SHARED(unsigned int, next, 1);
    int const thread = threadIdx.x;
    if (length == 0) {
        for (long long lane = blockIdx.x * (long long)THREADS + thread; lane < lanes;
             lane += gridDim.x * (long long)THREADS) {
            step.begin(lane);
            step.finish(step.initial());
        }
        return;
    }
    // Each tile has words of its own in device memory, so that there are fewer than 2^31 of them.
    int const groups = int((lanes + LANES - 1) / LANES);
    unsigned int const tiles = (unsigned int)((length + Tile::SPAN - 1) / Tile::SPAN * groups);
    int const lane = thread % LANES, along = thread / LANES;
    for (;;) {
        __syncthreads();  // no thread needs the last tile's shared memory any more
        if (thread == 0) next[0] = atomicAdd(progress, 1u);
        __syncthreads();
        unsigned int const tile = next[0];
        if (tile >= tiles) return;
        int const chunk = int(tile / groups), group = int(tile % groups);
        long long const mine = group * (long long)LANES + lane;
        bool const lane_exists = mine < lanes;
        long long const left = lane_exists ? length - chunk * (long long)Tile::SPAN - along * STEPS : 0;
        int const steps = left < 0 ? 0 : left < STEPS ? int(left) : STEPS;
        step.begin(lane_exists ? mine : lanes - 1);
        Tile of{step,  length,      groups, chunk, group,       progress, published, totals, relay,
                taken, lane_exists, lane,   along, thread % 32, thread / 32, steps, step.initial()};
        of.load();
        of.solve_all(Stages{});
        of.template run<true>(of.entering);
        if (steps > 0 && left <= STEPS) step.finish(of.entering);
        of.write();
    }
}

}  // namespace gs
