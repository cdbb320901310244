// Ends at once: its pid is one of a process that is gone.
process.disconnect();
