"""A step as CUDA C++: what it computes, in which groups, where each value is kept, and the text of it all."""
