// Maps: what some steps do to a state, for the steps that several threads along time compose (prefix.cuh). Of a map m
//   m.then(later)          is m and a later one after it
//   m.of(state)            is the state after it
//   m.safe()               whether composing has neither overflowed nor lost digits
//   m.takes(state)         whether of(state) is what the steps would make of it one after the other
//   m.pack(), m.unpack()   are for other threads; a state is handed on as it was composed, not rounded to its own type
#pragma once
#include "numbers.cuh"

namespace gs {

// What maps of a state are composed in: sums of float32 lose nothing by being taken in another order.
template <class T>
struct Wide {
    using Type = T;
};
template <>
struct Wide<float> {
    using Type = double;
};

// By how much a composed factor may grow before digits are lost that the serial loop keeps.
constexpr double MOST_GROWTH = 1048576.0;

template <class T>
struct Affine {  // scale * state + offset
    using Number = typename Wide<T>::Type;
    static constexpr int words = 2;
    Number scale, offset;
    __device__ __forceinline__ Affine then(Affine const& later) const {
        return {Number(later.scale * scale), Number(later.scale * offset + later.offset)};
    }
    __device__ __forceinline__ Number of(Number state) const { return Number(scale * state + offset); }
    __device__ __forceinline__ bool safe() const {
        if constexpr (IsFloat<T>::value) return fabs(scale) <= MOST_GROWTH && is_finite(offset);
        else return true;
    }
    __device__ __forceinline__ bool takes(Number state) const {
        if constexpr (IsFloat<T>::value) return is_finite(state);
        else return true;
    }
    __device__ __forceinline__ void pack(unsigned long long* to) const {
        to[0] = word_of(scale);
        to[1] = word_of(offset);
    }
    __device__ __forceinline__ void unpack(unsigned long long const* from) {
        scale = from_word<Number>(from[0]);
        offset = from_word<Number>(from[1]);
    }
};

// A map of one number that an operation combines with another, or with a state.
template <class T, class Operation>
struct Fold {
    using Number = typename Operation::template Number<T>;
    static constexpr int words = 1;
    Number operand;
    __device__ __forceinline__ Fold then(Fold const& later) const {
        return {Number(Operation::of(operand, later.operand))};
    }
    __device__ __forceinline__ Number of(Number state) const { return Number(Operation::of(state, operand)); }
    __device__ __forceinline__ bool safe() const { return Operation::safe(operand); }
    __device__ __forceinline__ bool takes(Number state) const { return Operation::takes(state); }
    __device__ __forceinline__ void pack(unsigned long long* to) const { to[0] = word_of(operand); }
    __device__ __forceinline__ void unpack(unsigned long long const* from) { operand = from_word<Number>(from[0]); }
};

// An operation that is as right on operands in any grouping as it is on the state.
struct Harmless {
    template <class T>
    using Number = T;
    template <class T>
    static __device__ __forceinline__ bool safe(T) { return true; }
    template <class T>
    static __device__ __forceinline__ bool takes(T) { return true; }
};
struct Rounding : Harmless {
    template <class T>
    using Number = typename Wide<T>::Type;
};
struct Summing : Rounding {  // of numbers that overflow together, but not with the state
    template <class T>
    static __device__ __forceinline__ T of(T earlier, T later) { return T(earlier + later); }
    template <class T>
    static __device__ __forceinline__ bool safe(T x) {
        if constexpr (IsFloat<T>::value) return is_finite(x);
        else return true;
    }
};
struct Multiplying : Rounding {  // likewise, and of numbers that vanish together
    template <class T>
    static __device__ __forceinline__ T of(T earlier, T later) { return T(earlier * later); }
    template <class T>
    static __device__ __forceinline__ bool safe(T x) {
        if constexpr (IsFloat<T>::value) return fabs(x) >= 1e-300 && fabs(x) <= 1e300;
        else return true;
    }
    template <class T>
    static __device__ __forceinline__ bool takes(T state) {
        if constexpr (IsFloat<T>::value) return is_finite(state);
        else return true;
    }
};
struct Replacing : Rounding {
    template <class T>
    static __device__ __forceinline__ T of(T, T later) { return later; }
};

// The map of the state's field FIELD.
template <auto FIELD, class Map>
struct Part {
    using Number = typename Map::Number;
    static constexpr int words = Map::words;
    Map map;
    __device__ __forceinline__ unsigned long long of(unsigned long long state) const {
        return word_of(map.of(from_word<Number>(state)));
    }
    __device__ __forceinline__ bool takes(unsigned long long state) const {
        return map.takes(from_word<Number>(state));
    }
    template <class State>
    static __device__ __forceinline__ unsigned long long pack_state(State const& state) {
        return word_of(Number(state.*FIELD));
    }
    template <class State>
    static __device__ __forceinline__ void unpack_state(State& state, unsigned long long word) {
        assign(state.*FIELD, from_word<Number>(word));
    }
    template <class T>
    static __device__ __forceinline__ void assign(T& to, Number from) { to = T(from); }
};

// The maps of the states of one stage.
template <class... Parts>
struct Maps : Parts... {
    static constexpr int map_words = (0 + ... + Parts::words);
    static constexpr int state_words = sizeof...(Parts);

    __device__ __forceinline__ Maps then(Maps const& later) const {
        return {Parts{Parts::map.then(later.Parts::map)}...};
    }
    __device__ __forceinline__ bool safe() const { return (true && ... && Parts::map.safe()); }
    __device__ __forceinline__ bool takes(unsigned long long const* states) const {
        int at = 0;
        return (true && ... && Parts::takes(states[at++]));
    }
    __device__ __forceinline__ void apply(unsigned long long* states) const {
        int at = 0;
        ((states[at] = Parts::of(states[at]), ++at), ...);
    }
    __device__ __forceinline__ void pack(unsigned long long* to) const {
        int at = 0;
        ((Parts::map.pack(to + at), at += Parts::words), ...);
    }
    __device__ __forceinline__ void unpack(unsigned long long const* from) {
        int at = 0;
        ((Parts::map.unpack(from + at), at += Parts::words), ...);
    }
    template <class State>
    static __device__ __forceinline__ void pack_state(State const& state, unsigned long long* to) {
        int at = 0;
        ((to[at++] = Parts::pack_state(state)), ...);
    }
    template <class State>
    static __device__ __forceinline__ void unpack_state(State& state, unsigned long long const* from) {
        int at = 0;
        (Parts::unpack_state(state, from[at++]), ...);
    }
    __device__ __forceinline__ Maps from_thread(int thread) const {  // of the same warp
        unsigned long long words[map_words];
        pack(words);
#pragma unroll
        for (int i = 0; i < map_words; ++i) words[i] = __shfl_sync(0xffffffffu, words[i], thread);
        Maps theirs;
        theirs.unpack(words);
        return theirs;
    }
};

template <class... Numbers>
constexpr __device__ int largest(int first, Numbers... rest) {
    int most = first;
    ((most = rest > most ? rest : most), ...);
    return most;
}

template <class... AllMaps>
struct Stages {
    static constexpr int count = sizeof...(AllMaps);
    static constexpr int most_map_words = largest(1, AllMaps::map_words...);
    static constexpr int most_state_words = largest(1, AllMaps::state_words...);
};

}  // namespace gs
