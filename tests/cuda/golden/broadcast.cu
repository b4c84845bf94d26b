// scan: a lane a thread, rows loaded 8 steps ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
        double x_c;
    };

    // The kernel's parameters.
    long long lanes;
    long long length;
    Global<const double> init_s;
    long long row_size;
    long long lanes_0;
    long long lanes_1;
    Global<const double> seq_c;
    long long row_size_2;
    Global<double> out_history_s;
    Global<double> out_history_output_1;

    // What this thread holds.
    gs::ThreadTeam team;
    long long lane, steps;
    long long rest;
    long long along_1;
    long long along_0;
    long long at;
    double s_s;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        steps = length;
        rest = lane;
        along_1 = rest % lanes_1;
        rest /= lanes_1;
        along_0 = rest % lanes_0;
        rest /= lanes_0;
        at = along_0;
        s_s = init_s[lane];
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
        row.x_c = seq_c[t * row_size_2 + at];
    }

    __device__ __forceinline__ bool advance(long long t, Row const& row) {
        double const v = s_s + row.x_c;
        double const v_2 = gs::maximum(row.x_c, 0.0);
        out_history_s[t * row_size + lane] = v;
        if (along_1 == 0) out_history_output_1[t * row_size_2 + at] = v_2;
        double const next_s = v;
        s_s = next_s;
        return true;
    }

    __device__ __forceinline__ void finish() {
    }
};

extern "C" __global__ void __launch_bounds__(32, 1) gpuscan_lane_loop(
    long long lanes,
    long long length,
    Global<const double> init_s,
    long long row_size,
    long long lanes_0,
    long long lanes_1,
    Global<const double> seq_c,
    long long row_size_2,
    Global<double> out_history_s,
    Global<double> out_history_output_1) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {lanes, length, init_s, row_size, lanes_0, lanes_1, seq_c, row_size_2, out_history_s, out_history_output_1};
    step.begin(lane);
    step.steps = lane_loop<8>(step, length);
    step.finish();
}
