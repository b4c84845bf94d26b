"""Loops as CUDA kernels: planned, written, compiled and launched, on a GPU or on the emulator."""
