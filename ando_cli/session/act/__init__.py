"""What is done to payment channels: sign, deposit, close, recover."""
