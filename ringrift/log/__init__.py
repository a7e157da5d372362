"""The log on JetStream: topology, append, replay, leases, blobs, snapshots, the embedded server and
an in-memory twin."""
