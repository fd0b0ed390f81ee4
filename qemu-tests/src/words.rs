//! What a box says on its console, word for word. A promise is kept only when one of these was said.

/// The system image is the root now.
pub const ROOT_MOUNTED: &str = "shoal: root mounted";
/// No disk with this image has appeared yet. PID 1 hears the power button by then.
pub const WAITING_FOR_MEDIUM: &str = "shoal: waiting up to ";
/// A new state partition is about to be made. The name of the disk follows.
pub const MAKING_STATE: &str = "shoal: making a state partition on ";
/// State lies on the medium. The partition follows.
pub const STATE_ON: &str = "shoal: state on ";
/// State is lost with the power. The reason follows.
pub const STATE_IN_RAM: &str = "shoal: state in RAM: ";
/// The medium takes its time.
pub const STILL_WORKING: &str = "shoal: still working on ";
/// The medium has no room left.
pub const STATE_FULL: &str = "shoal: the state medium is full";
/// PID 1 has handed over to its supervisor.
pub const SERVICES_STARTING: &str = "shoal: services starting";
/// Every service is ready or done.
pub const ALL_READY: &str = "shoal: all services are ready";
/// The agent has reported.
pub const AGENT_RUNS: &str = "shoal: service agent is running";
/// What the agent says of the cluster that the box is in: its name follows, the box's number in it, and how many vote.
pub const CLUSTER: &str = "INFO cluster ";
/// The agent's words for a cluster of one box, as its end of the line begins.
pub const ALONE: &str = ", 1 voter of 1 member: 1 of the 3 nodes that high availability needs";
/// The agent's words for a cluster of two boxes, as its end of the line begins.
pub const TWO: &str = ", 1 voter of 2 members: ";
/// The agent's words for a cluster of four boxes, in the middle of the line.
pub const FOUR_MEMBERS: &str = " of 4 members";
/// The agent's words when nobody can be looked for.
pub const NO_NETWORK: &str = "INFO this box has no network yet";
/// The agent's words when there are two boxes with one key.
pub const COPY: &str = "two boxes run with the same key";
/// containerd takes connections.
pub const CONTAINERD_RUNS: &str = "shoal: service containerd is running";
/// A link has an address, which follows.
pub const ADDRESS: &str = "shoal: address ";
/// The screen's words when there is no wired link at all.
pub const NO_LINK: &str = "shoal: network: no wired link found";
/// The screen's words about a link without a cable. Follows the link's name.
pub const NO_CARRIER: &str = " has no carrier; is the cable plugged in?";
/// The screen's words about a link with a cable and nobody who gives out addresses. Follows the link's name.
pub const WAITS_FOR_ADDRESS: &str = " is up and waits for an address";
/// The hardware watchdog counts.
pub const WATCHDOG_ARMED: &str = "shoal: watchdog armed";
/// PID 1 acts out a hang.
pub const HANGING: &str = "shoal: hanging, as ";
/// PID 1 has panicked. As the lab forbids it, so that a test can allow it.
pub const INIT_FAILED: &str = "PID 1 has failed";
/// A reboot of its own will.
pub const REBOOTING: &str = "shoal: rebooting";
/// The power button was seen.
pub const BUTTON_PRESSED: &str = "shoal: the power button was pressed";
/// The state partition is unmounted. Follows [`STATE_ON`].
pub const PUT_DOWN: &str = " is put down";
/// The last word before the power goes.
pub const SWITCHING_OFF: &str = "shoal: switching off";
/// What the agent says of a box that is a node of Kubernetes, as its end of the line, if it votes.
pub const CONTROL_PLANE: &str = " with a control plane";
/// The agent has PID 1 start kube-apiserver, for the first time or anew.
pub const API_IS_STARTED: &str = "INFO kube-apiserver runs as generation ";
/// What the service `proof` of recipes/kube.toml says, in this order. What the cluster answered follows.
pub const API_READY: &str = "[proof] the API is ready";
/// By the API's word.
pub const NODE_READY: &str = "[proof] the node is Ready: ";
/// By the API's word: an available Deployment of a baked image.
pub const POD_RUNS: &str = "[proof] a pod runs: ";
/// By the API's word: CoreDNS is available.
pub const DNS_READY: &str = "[proof] the cluster's DNS is ready";
/// By the word of a pod, through kubelet and API: what another pod answered it, asked by its Service's address and by its Service's name.
pub const SERVICE_ANSWERS: &str = "[proof] by its Service and by its name: ";
/// By the API's word, from then on, each time that it has something new of a node: the rest of its name follows, and its state.
pub const A_NODE_IS: &str = "[proof] shoal-";
/// The container that was baked in has run (recipes/dev.toml); its host name follows. The service's name before it keeps the words apart from
/// the same ones in a command line that somebody logs.
pub const HELLO: &str = "[hello] hello from a container on ";

/// The agent's words for a cluster of which any one voter may fail, as its end of the line.
#[must_use]
pub fn highly_available(voters: usize, members: usize) -> String {
    format!(", {voters} voters of {members} members: highly available")
}
