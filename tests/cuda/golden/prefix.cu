// scan: parallel along time, tiles of 832 steps by 4 lanes.
// ---- end of kernels/prefix.cuh

struct Fold_maximum_state_first : gs::Harmless {
    template <class T>
    static __device__ __forceinline__ T of(T earlier, T later) {
        return T(gs::maximum(earlier, later));
    }
};

struct Step {
    struct Row {
        float x_x;
        float x_a;
    };
    struct State {
        float s_level;
        float s_total;
        float s_peak;
    };
    struct Kept {
        float k_level;
        float k_output_3;
        float k_peak;
    };

    // The kernel's parameters.
    Global<const float> seq_x;
    long long last_x;
    long long row_size;
    long long lanes_0;
    Global<const float> seq_a;
    long long last_a;
    float non_rate;
    Global<const float> init_level;
    Global<const float> init_total;
    Global<const float> init_peak;
    Global<float> out_history_level;
    Global<float> out_history_output_3;
    long long first_peak;
    Global<float> out_last_peak;
    Global<float> out_final_total;
    Global<unsigned int> progress;
    Global<unsigned long long> published;
    long long lanes;
    long long length;

    // What this lane holds.
    long long lane;

    using Maps0 = gs::Maps<gs::Part<&State::s_level, gs::Affine<float>>>;
    using Maps1 = gs::Maps<gs::Part<&State::s_total, gs::Fold<float, gs::Summing>>, gs::Part<&State::s_peak, gs::Fold<float, Fold_maximum_state_first>>>;
    using Stages = gs::Stages<Maps0, Maps1>;
    static constexpr int words = 7;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
    }

    __device__ __forceinline__ State initial() const {
        State state;
        state.s_level = init_level[lane];
        state.s_total = init_total[lane];
        state.s_peak = init_peak[lane];
        return state;
    }

    __device__ __forceinline__ void read(long long t, Row& row) const {
        row.x_x = seq_x[((last_x - t)) * row_size + lane];
        row.x_a = seq_a[(last_a - t)];
    }

    __device__ __forceinline__ void put(int slot, Row const& row) const {
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_x_x, 0, 3328);
        all_x_x[slot] = row.x_x;
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_x_a, 13312, 3328);
        all_x_a[slot] = row.x_a;
    }

    __device__ __forceinline__ void get(int slot, Row& row) const {
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_x_x, 0, 3328);
        row.x_x = all_x_x[slot];
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_x_a, 13312, 3328);
        row.x_a = all_x_a[slot];
    }

    __device__ __forceinline__ void put(int slot, Kept const& kept) const {
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_k_level, 0, 3328);
        all_k_level[slot] = kept.k_level;
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_k_output_3, 13312, 3328);
        all_k_output_3[slot] = kept.k_output_3;
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_k_peak, 26624, 3328);
        all_k_peak[slot] = kept.k_peak;
    }

    __device__ __forceinline__ void get(int slot, Kept& kept) const {
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_k_level, 0, 3328);
        kept.k_level = all_k_level[slot];
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_k_output_3, 13312, 3328);
        kept.k_output_3 = all_k_output_3[slot];
        GPUSCAN_DYNAMIC_SHARED_AT(float, all_k_peak, 26624, 3328);
        kept.k_peak = all_k_peak[slot];
    }

    __device__ __forceinline__ void compose(Row const& row, State& state, Maps0& maps) const {
        double const v = (double)(row.x_a);
        double const v_2 = (double)(non_rate);
        double const v_3 = (-1.0) * v_2;
        double const v_4 = v + v_3;
        double const v_5 = (double)(row.x_x);
        double const v_6 = v_5 * v_2;
        maps = Maps0{{gs::Affine<float>{v_4, v_6}}};
    }

    __device__ __forceinline__ void compose(Row const& row, State& state, Maps1& maps) const {
        float const v_7 = row.x_a * state.s_level;
        float const v_8 = row.x_x - state.s_level;
        float const v_9 = non_rate * v_8;
        float const v_10 = v_7 + v_9;
        float const v_11 = v_10 * v_10;
        double const v_12 = (double)(v_11);
        maps = Maps1{{gs::Fold<float, gs::Summing>{v_12}}, {gs::Fold<float, Fold_maximum_state_first>{v_10}}};
        float const next_level = v_10;
        state.s_level = next_level;
    }

    __device__ __forceinline__ void advance(Row const& row, State& state, Kept& kept) const {
        float const v_13 = row.x_a * state.s_level;
        float const v_14 = row.x_x - state.s_level;
        float const v_15 = non_rate * v_14;
        float const v_16 = v_13 + v_15;
        float const v_17 = v_16 * v_16;
        float const v_18 = state.s_total + v_17;
        float const v_19 = gs::maximum(state.s_peak, v_16);
        float const v_20 = v_16 - state.s_total;
        kept.k_level = v_16;
        kept.k_output_3 = v_20;
        kept.k_peak = v_19;
        float const next_level_2 = v_16;
        float const next_total = v_18;
        float const next_peak = v_19;
        state.s_level = next_level_2;
        state.s_total = next_total;
        state.s_peak = next_peak;
    }

    __device__ __forceinline__ void write(long long t, Kept const& kept) const {
        out_history_level[t * row_size + lane] = kept.k_level;
        out_history_output_3[t * row_size + lane] = kept.k_output_3;
        if (t >= first_peak) out_last_peak[((t - first_peak)) * row_size + lane] = kept.k_peak;
    }

    __device__ __forceinline__ void finish(State const& state) const {
        out_final_total[lane] = state.s_total;
    }
};

extern "C" __global__ void __launch_bounds__(256, 4) gpuscan_prefix_loop(
    Global<const float> seq_x,
    long long last_x,
    long long row_size,
    long long lanes_0,
    Global<const float> seq_a,
    long long last_a,
    float non_rate,
    Global<const float> init_level,
    Global<const float> init_total,
    Global<const float> init_peak,
    Global<float> out_history_level,
    Global<float> out_history_output_3,
    long long first_peak,
    Global<float> out_last_peak,
    Global<float> out_final_total,
    Global<unsigned int> progress,
    Global<unsigned long long> published,
    long long lanes,
    long long length) {
    Step step = {seq_x, last_x, row_size, lanes_0, seq_a, last_a, non_rate, init_level, init_total, init_peak, out_history_level, out_history_output_3, first_peak, out_last_peak, out_final_total, progress, published, lanes, length};
    gs::prefix_loop<256, 13, 4>(step, lanes, length, progress, published);
}
