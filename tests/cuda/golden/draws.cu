// scan: a lane a thread, rows loaded 1 step ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
    };

    // The kernel's parameters.
    long long lanes;
    long long length;
    Global<const double> init_x;
    long long row_size;
    long long lanes_0;
    long long lanes_1;
    Global<const unsigned long long> init_rng;
    Global<double> out_history_x;
    Global<unsigned long long> out_final_rng;

    // What this thread holds.
    gs::ThreadTeam team;
    long long lane, steps;
    long long rest;
    long long along_1;
    long long along_0;
    double s_x;
    gs::RandomState s_rng;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        steps = length;
        rest = lane;
        along_1 = rest % lanes_1;
        rest /= lanes_1;
        along_0 = rest % lanes_0;
        rest /= lanes_0;
        s_x = init_x[lane];
        s_rng = gs::RandomState{init_rng[0], init_rng[1]};
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
    }

    __device__ __forceinline__ bool advance(long long t, Row const& row) {
        gs::RandomState const v = gs::advanced(s_rng);
        double const v_2 = gs::shifted((0.0), (0.5), gs::normal<double>(s_rng, along_0 * lanes_1 + along_1));
        gs::RandomState const v_3 = gs::advanced(v);
        long long const v_4 = (long long)(gs::bernoulli(v, along_1, (0.9)));
        double const v_5 = s_x * (double)(v_4);
        double const v_6 = v_5 + v_2;
        out_history_x[t * row_size + lane] = v_6;
        double const next_x = v_6;
        gs::RandomState const next_rng = v_3;
        s_x = next_x;
        s_rng = next_rng;
        return true;
    }

    __device__ __forceinline__ void finish() {
        if (lane == 0) { out_final_rng[0] = s_rng.key; out_final_rng[1] = s_rng.draws; }
    }
};

extern "C" __global__ void __launch_bounds__(32, 1) gpuscan_lane_loop(
    long long lanes,
    long long length,
    Global<const double> init_x,
    long long row_size,
    long long lanes_0,
    long long lanes_1,
    Global<const unsigned long long> init_rng,
    Global<double> out_history_x,
    Global<unsigned long long> out_final_rng) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {lanes, length, init_x, row_size, lanes_0, lanes_1, init_rng, out_history_x, out_final_rng};
    step.begin(lane);
    step.steps = lane_loop<1>(step, length);
    step.finish();
}
