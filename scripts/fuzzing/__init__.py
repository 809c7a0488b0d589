"""What the fuzzer is made of: small videos, ways to spoil them, and a judge."""
