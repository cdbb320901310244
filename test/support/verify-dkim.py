"""Is the DKIM signature of the message on stdin valid? argv[1]: the TXT record of its key. Prints True or False."""
import sys
import dkim
record = sys.argv[1].encode()
print(dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda name, timeout=5: record))
