// scan: a lane a thread, rows loaded 8 steps ahead.
// ---- end of kernels/lane_loop.cuh

struct Step {
    // What one step reads of the sequences.
    struct Row {
        float x_now;
    };

    // The kernel's parameters.
    long long lanes;
    long long length;
    Global<const float> init_newer;
    long long row_size;
    long long lanes_0;
    long long last_now;
    Global<const float> seq_now;
    Global<float> out_final_newer;

    // What this thread holds.
    gs::ThreadTeam team;
    long long lane, steps;
    float s_newer_1;
    float s_newer_2;
    float x_now_1;
    float x_now_2;

    __device__ __forceinline__ void begin(long long which) {
        lane = which;
        steps = length;
        s_newer_1 = init_newer[row_size + lane];
        s_newer_2 = init_newer[lane];
        if (length > 0) {
            x_now_1 = seq_now[((last_now - 0 + 1)) * row_size + lane];
        }
        if (length > 0) {
            x_now_2 = seq_now[((last_now - 0 + 2)) * row_size + lane];
        }
    }

    __device__ __forceinline__ void read(long long t, Row& row) {
        row.x_now = seq_now[((last_now - t)) * row_size + lane];
    }

    __device__ __forceinline__ bool advance(long long t, Row const& row) {
        float const v = tanh(s_newer_1);
        float const v_2 = (0.5f) * s_newer_2;
        float const v_3 = v - v_2;
        float const v_4 = row.x_now * x_now_2;
        float const v_5 = v_3 + v_4;
        float const next_newer = v_5;
        s_newer_2 = s_newer_1;
        s_newer_1 = next_newer;
        x_now_2 = x_now_1;
        x_now_1 = row.x_now;
        return true;
    }

    __device__ __forceinline__ void finish() {
        out_final_newer[lane] = s_newer_2;
        out_final_newer[row_size + lane] = s_newer_1;
    }
};

extern "C" __global__ void __launch_bounds__(32, 1) gpuscan_lane_loop(
    long long lanes,
    long long length,
    Global<const float> init_newer,
    long long row_size,
    long long lanes_0,
    long long last_now,
    Global<const float> seq_now,
    Global<float> out_final_newer) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    Step step = {lanes, length, init_newer, row_size, lanes_0, last_now, seq_now, out_final_newer};
    step.begin(lane);
    step.steps = lane_loop<8>(step, length);
    step.finish();
}
