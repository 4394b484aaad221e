"""Through Google's emulators, with every function in a process of its own; see ``benchmarks.emulated.report``."""
