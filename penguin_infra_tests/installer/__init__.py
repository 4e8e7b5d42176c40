"""The installer without any host: its project, its process, its errors. On real hosts: `hosts/test_install.py`."""
