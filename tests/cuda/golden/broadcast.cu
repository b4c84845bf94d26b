// scan: a lane a thread, rows loaded 8 steps ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
        double x_c;
    };

    // The kernel's parameters.
    Global<const double> seq_c;
    long long lanes_1;
    long long lanes_0;
    long long stride;
    long long row_size;
    Global<const double> init_s;
    long long row_size_2;
    Global<double> out_history_s;
    Global<double> out_history_output_1;
    long long lanes;
    long long length;

    // What this lane holds.
    long long lane;
    long long rest;
    long long along_1;
    long long along_0;
    long long at;
    double s_s;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        rest = lane;
        along_1 = rest % lanes_1;
        rest /= lanes_1;
        along_0 = rest % lanes_0;
        rest /= lanes_0;
        at = along_0 * stride;
        s_s = init_s[0 * row_size_2 + lane];
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
        row.x_c = seq_c[t * row_size + at];
    }

    __device__ __forceinline__ void advance(long long t, Row const& row) {
        double const v = s_s + row.x_c;
        double const v_2 = gs::maximum(row.x_c, 0.0);
        out_history_s[t * row_size_2 + lane] = v;
        if (along_1 == 0) out_history_output_1[t * row_size + at] = v_2;
        s_s = v;
    }

    __device__ __forceinline__ void finish() {
    }
};

extern "C" __global__ void __launch_bounds__(32) gpuscan_lane_loop(
    Global<const double> seq_c,
    long long lanes_1,
    long long lanes_0,
    long long stride,
    long long row_size,
    Global<const double> init_s,
    long long row_size_2,
    Global<double> out_history_s,
    Global<double> out_history_output_1,
    long long lanes,
    long long length) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {seq_c, lanes_1, lanes_0, stride, row_size, init_s, row_size_2, out_history_s, out_history_output_1, lanes, length};
    step.begin(lane);
    lane_loop<8>(step, length);
    step.finish();
}
