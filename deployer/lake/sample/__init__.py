"""Sample transactions with the known answer, from a seed. It writes files on this machine only."""
