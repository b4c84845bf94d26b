// scan[decaying sum]: a lane a thread, rows loaded 8 steps ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
        double x_row;
    };

    // The kernel's parameters.
    long long lanes;
    long long length;
    double non_decay;
    Global<const double> init_acc;
    long long row_size;
    long long lanes_0;
    Global<const double> seq_row;
    Global<double> out_history_acc;

    // What this thread holds.
    gs::ThreadTeam team;
    long long lane, steps;
    double s_acc;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        steps = length;
        s_acc = init_acc[lane];
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
        row.x_row = seq_row[t * row_size + lane];
    }

    __device__ __forceinline__ bool advance(long long t, Row const& row) {
        double const v = s_acc * non_decay;
        double const v_2 = v + row.x_row;
        out_history_acc[t * row_size + lane] = v_2;
        double const next_acc = v_2;
        s_acc = next_acc;
        return true;
    }

    __device__ __forceinline__ void finish() {
    }
};

extern "C" __global__ void __launch_bounds__(32, 1) gpuscan_lane_loop(
    long long lanes,
    long long length,
    double non_decay,
    Global<const double> init_acc,
    long long row_size,
    long long lanes_0,
    Global<const double> seq_row,
    Global<double> out_history_acc) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {lanes, length, non_decay, init_acc, row_size, lanes_0, seq_row, out_history_acc};
    step.begin(lane);
    step.steps = lane_loop<8>(step, length);
    step.finish();
}
