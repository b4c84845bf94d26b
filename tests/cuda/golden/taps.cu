// scan: a lane a thread, rows loaded 8 steps ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
        float x_now;
    };

    // The kernel's parameters.
    Global<const float> seq_now;
    long long row_size;
    long long last_now;
    Global<const float> init_newer;
    Global<float> out_final_newer;
    long long lanes;
    long long length;

    // What this lane holds.
    long long lane;
    float x_now_1;
    float x_now_2;
    float s_newer_1;
    float s_newer_2;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        if (length > 0) x_now_1 = seq_now[(last_now - 0 + 1) * row_size + lane];
        if (length > 0) x_now_2 = seq_now[(last_now - 0 + 2) * row_size + lane];
        s_newer_1 = init_newer[1 * row_size + lane];
        s_newer_2 = init_newer[0 * row_size + lane];
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
        row.x_now = seq_now[(last_now - t + 0) * row_size + lane];
    }

    __device__ __forceinline__ void advance(long long t, Row const& row) {
        float const v = tanh(s_newer_1);
        float const v_2 = (0.5f) * s_newer_2;
        float const v_3 = v - v_2;
        float const v_4 = row.x_now * x_now_2;
        float const v_5 = v_3 + v_4;
        s_newer_2 = s_newer_1;
        s_newer_1 = v_5;
        x_now_2 = x_now_1;
        x_now_1 = row.x_now;
    }

    __device__ __forceinline__ void finish() {
        out_final_newer[0 * row_size + lane] = s_newer_2;
        out_final_newer[1 * row_size + lane] = s_newer_1;
    }
};

extern "C" __global__ void __launch_bounds__(32) gpuscan_lane_loop(
    Global<const float> seq_now,
    long long row_size,
    long long last_now,
    Global<const float> init_newer,
    Global<float> out_final_newer,
    long long lanes,
    long long length) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {seq_now, row_size, last_now, init_newer, out_final_newer, lanes, length};
    step.begin(lane);
    lane_loop<8>(step, length);
    step.finish();
}
