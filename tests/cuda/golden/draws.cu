// scan: a lane a thread, rows loaded 1 steps ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
    };

    // The kernel's parameters.
    Global<const double> init_x;
    long long row_size;
    Global<const unsigned long long> init_rng;
    long long lanes_1;
    long long lanes_0;
    long long stride;
    long long row_size_2;
    Global<double> out_history_x;
    Global<unsigned long long> out_final_rng;
    long long lanes;
    long long length;

    // What this lane holds.
    long long lane;
    double s_x;
    gs::RandomState s_rng;
    long long rest;
    long long along_1;
    long long along_0;
    long long at;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        rest = lane;
        along_1 = rest % lanes_1;
        rest /= lanes_1;
        along_0 = rest % lanes_0;
        rest /= lanes_0;
        s_x = init_x[0 * row_size + lane];
        s_rng = gs::RandomState{init_rng[0 * 2], init_rng[0 * 2 + 1]};
        at = along_1 * stride;
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
    }

    __device__ __forceinline__ void advance(long long t, Row const& row) {
        gs::RandomState const v = gs::advanced(s_rng);
        double const v_2 = gs::shifted((0.0), (0.5), gs::normal<double>(s_rng, lane));
        gs::RandomState const v_3 = gs::advanced(v);
        long long const v_4 = (long long)(gs::bernoulli(v, at, (0.9)));
        double const v_5 = s_x * (double)(v_4);
        double const v_6 = v_5 + v_2;
        out_history_x[t * row_size + lane] = v_6;
        s_x = v_6;
        s_rng = v_3;
    }

    __device__ __forceinline__ void finish() {
        if (lane == 0) { out_final_rng[0 * 2] = s_rng.key; out_final_rng[0 * 2 + 1] = s_rng.draws; }
    }
};

extern "C" __global__ void __launch_bounds__(32) gpuscan_lane_loop(
    Global<const double> init_x,
    long long row_size,
    Global<const unsigned long long> init_rng,
    long long lanes_1,
    long long lanes_0,
    long long stride,
    long long row_size_2,
    Global<double> out_history_x,
    Global<unsigned long long> out_final_rng,
    long long lanes,
    long long length) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {init_x, row_size, init_rng, lanes_1, lanes_0, stride, row_size_2, out_history_x, out_final_rng, lanes, length};
    step.begin(lane);
    lane_loop<1>(step, length);
    step.finish();
}
