"""The only importer of wasmtime."""
