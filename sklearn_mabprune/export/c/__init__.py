"""Networks as C99 source: one header, without allocation, that needs only math.h."""
