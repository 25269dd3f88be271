"""Where everything is put together: the configuration, the twistd plugins, the control socket."""
