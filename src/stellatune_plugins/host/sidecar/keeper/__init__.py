"""The processes between the host and its sidecars: one that forks, and one above each sidecar that ends with nothing.

The modules in here use the standard library alone and each other. They run in processes of their own, started by the
folder's path, so that none of the package's imports is paid for or present there:

- the *nursery*: one a host, single-threaded, started at the first sidecar. It forks keepers, which takes a
  millisecond where starting an interpreter takes forty, and where forking the host with its threads would be unsafe.
- a *keeper* for each sidecar: it confines and starts the program, passes signals on, reports the exit, and is the
  reaper of everything that the program leaves behind, however often that forked. When its host is gone, by whatever
  road, it kills them all and ends.
"""
