"""How it is trained: which frames, how long, by which steps."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `train`."""
    train = ConfigDict()
    train.segment_frames = 1  # frames that one set of params explains; 0: all of them, a clip (of a
    # sequence of clips: each one); -1: all clips of a sequence
    train.steps = 10_000  # a frame, in Structure Transfer (i_weights)
    train.warmup_steps = 10_000  # a frame, in Warm-Up (i_weights_warmup)
    train.freeze_frame = 120  # first frame with frozen color layers; 0: never (freeze_start_frame);
    # of the fast field -1: behind its first three frames
    train.epochs = 0  # passes over the rows of a segment; 0: steps and warmup_steps count
    train.scratch = False  # every frame from random params, train.steps each; the baseline
    train.equal_steps = False  # ... with as many steps as an incremental run had spent by then
    train.init_from = ""  # start from the params of another run's workdir (ft_path)
    train.init_frame = 0  # ... of this frame of it; 0: its newest
    train.init_roles = ("structure", "color")  # ... of these roles; the others start at random;
    # of a static field: 'static_structure', 'static_color'
    train.reset_optimizer = False  # forget the optimizer's moments at every frame
    train.rows_per_step = 1024  # over all devices (N_rand); 0: all pixels of the training cameras,
    # less a few (1 in 64 at most) that do not divide over the devices well: others in each step
    train.frames_at_once = 1  # of those from scratch, which do not depend on each other; a multiple
    # of the devices, each of which trains its share of them, with all rays of their steps
    train.rows_per_pass = 0  # rays through the network at once on a device; 0: fits the hardware
    train.seed = 0  # of random params, rays and noise
    train.loss = "mse"  # 'mse', 'huber' (use_huber), 'l1'; of models of whole frames also 'ssim',
    # 'fusion1', ... (NeRV)
    train.optimizer = "adam"  # by optax's name: 'adam', 'lion', 'sgd', ...; AdamW is 'adam' with
    # weight_decay
    train.b1 = 0.9  # decay of the first moment
    train.b2 = 0.999  # ... and of the second
    train.eps = 1e-8  # added to the root of the second
    train.weight_decay = 0.0  # part of the learning rate by which params shrink, each step
    train.learning_rate = 5e-4  # at the beginning, or behind lr_warmup (lrate)
    train.schedule = "exponential"  # of the learning rate: 'exponential' (lr_decay_rate,
    # lr_decay_steps), 'geometric' (lr_decay_rate, over a segment), 'cosine', 'step' (lr_decay_rate,
    # lr_milestones), 'onecycle', 'constant'
    train.lr_decay_rate = 0.1  # of lr_decay_steps, or a milestone; 1.0: none (use_weight_decay)
    train.lr_decay_steps = 250_000  # steps in which it is multiplied so (lrate_decay * 1000)
    train.lr_warmup = 0.0  # part of the epochs in which the learning rate rises to its value
    train.lr_milestones = ()  # epochs behind which 'step' multiplies it by lr_decay_rate
    train.clip_norm = 2.0  # of each network's gradient
    train.update_pull = 0.0  # part of the learning rate by which frozen frames' params are pulled
    # to where they start, each step: fewer of them move, so a frame is cheaper to send, and learns
    # less; 0.02 to begin with
    train.save_every = 5_000  # steps between mid-frame states; 0: none
    train.image_every = 0  # steps between images and params within a frame; 0: none (i_iter_img)
    train.image_steps = ()  # ... at these steps too, as 0,400,1200; 0: before any training
    train.image_cams = ()  # ... from these cameras; none: the one that is shown of every frame
    train.dispatch_seconds = 1.0  # steps are sent to the devices in groups that take so long
    return train
