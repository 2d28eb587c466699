"""The accelerator in NumPy, bit for bit, and the same model in float32."""
