"""HTTP/2 as a server speaks it with prior knowledge: frames, header blocks, streams, flow control, floods."""
