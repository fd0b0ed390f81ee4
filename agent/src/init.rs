//! PID 1, as the agent sees it over D-Bus.

/// One row of `ListServices`: name, state, process id, restarts, microseconds from boot to the change into this state, reason.
pub(crate) type Row = (String, String, u32, u32, u64, String);

/// `org.shoal.Init1`, as far as the agent uses it.
#[zbus::proxy(interface = "org.shoal.Init1", default_service = "org.shoal.Init1", default_path = "/org/shoal/Init1")]
pub(crate) trait Init1 {
    /// All services.
    fn list_services(&self) -> zbus::Result<Vec<Row>>;

    /// Makes a service run.
    fn start_service(&self, name: &str) -> zbus::Result<()>;

    /// Stops a service and starts it again.
    fn restart_service(&self, name: &str) -> zbus::Result<()>;

    /// Stops a service.
    fn stop_service(&self, name: &str) -> zbus::Result<()>;

    /// Shows on the console how well the box is.
    fn set_health(&self, severity: &str, text: &str) -> zbus::Result<()>;

    /// Name and architecture of the image.
    #[zbus(property)]
    fn image(&self) -> zbus::Result<String>;

    /// Version of the image.
    #[zbus(property)]
    fn version(&self) -> zbus::Result<String>;

    /// When the image was built, in seconds since 1970.
    #[zbus(property)]
    fn build_time(&self) -> zbus::Result<i64>;

    /// `persistent`, or `ram: ` and why.
    #[zbus(property)]
    fn state_medium(&self) -> zbus::Result<String>;

    /// A service has come into another state.
    #[zbus(signal)]
    fn service_changed(&self, name: String, state: String) -> zbus::Result<()>;
}
