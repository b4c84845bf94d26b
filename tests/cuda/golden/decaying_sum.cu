// scan[decaying sum]: a lane a thread, rows loaded 8 steps ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
        double x_row;
    };

    // The kernel's parameters.
    Global<const double> seq_row;
    long long row_size;
    double non_decay;
    Global<const double> init_acc;
    Global<double> out_history_acc;
    long long lanes;
    long long length;

    // What this lane holds.
    long long lane;
    double s_acc;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        s_acc = init_acc[0 * row_size + lane];
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
        row.x_row = seq_row[t * row_size + lane];
    }

    __device__ __forceinline__ void advance(long long t, Row const& row) {
        double const v = s_acc * non_decay;
        double const v_2 = v + row.x_row;
        out_history_acc[t * row_size + lane] = v_2;
        s_acc = v_2;
    }

    __device__ __forceinline__ void finish() {
    }
};

extern "C" __global__ void __launch_bounds__(32) gpuscan_lane_loop(
    Global<const double> seq_row,
    long long row_size,
    double non_decay,
    Global<const double> init_acc,
    Global<double> out_history_acc,
    long long lanes,
    long long length) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {seq_row, row_size, non_decay, init_acc, out_history_acc, lanes, length};
    step.begin(lane);
    lane_loop<8>(step, length);
    step.finish();
}
