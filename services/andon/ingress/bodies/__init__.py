"""What comes in, taken apart: JSON, CloudEvents, XML, sealed callbacks."""
