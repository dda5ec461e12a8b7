"""What guests may ask the host for, and the policies that stand before it. Nothing here knows of WebAssembly."""
