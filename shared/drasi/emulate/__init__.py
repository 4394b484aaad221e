"""The profile ``emulator`` on one machine: Google's emulators, and one process for every function (``make emulate``).

``system`` starts and stops it all; ``fleet`` runs one process (or more) for each resource that is stored, as Kubernetes does in a
cluster; ``child`` is one process that is started again when it dies, ``served`` what runs in it, ``leash`` what ends a foreign
program with us; ``emulators`` are Firestore's and Pub/Sub's; ``gateway`` is the one address for browsers and the command line.
"""
